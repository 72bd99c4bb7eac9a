//! Logic: takes jobs from the queue, finds who is where, has gateways deliver, and sees every kept message through to its acknowledgement,
//! expiry, recall or dead letter.
//!
//! [`core`] is the whole of it without I/O. Around it: `run` turns it with the real world, `perform` and `prepare` talk to the
//! data layer for it, `consume` reads the queue, `link`, `connect` and `follow` hold the gateways' streams.

mod ahead;
mod apps;
mod connect;
mod consume;
pub mod core;
mod counters;
mod data;
mod follow;
mod limits;
mod link;
mod perform;
mod prepare;
mod run;

pub use counters::{Count, Counters};
pub use data::Data;
pub use limits::Limits;
pub use perform::perform;
pub use run::{Clock, Identity, Logic};
