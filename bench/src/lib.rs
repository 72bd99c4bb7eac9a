//! What one core can do, part by part. Figures are medians of several rounds; on a shared machine only ratios within one run mean much.

#![forbid(unsafe_code)]

pub mod codec;
pub mod environment;
pub mod floor;
pub mod mailbox;
pub mod outbox;
pub mod session;
pub mod timing;

use timing::{Effort, Figure};

/// A group of figures: its name and how to take them.
pub type Group = (&'static str, fn(Effort) -> Vec<Figure>);

/// All groups, in the order of a push.
pub const GROUPS: [Group; 5] = [
    ("codec", codec::figures),
    ("session", session::figures),
    ("outbox", outbox::figures),
    ("mailbox", mailbox::figures),
    ("floor", floor::figures),
];
