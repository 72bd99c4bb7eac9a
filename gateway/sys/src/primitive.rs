//! The only place that names the atomics of the mailbox, so that a model checker can take their
//! place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
