//! What one core can do, part by part. Figures are medians of several rounds; on a shared machine only ratios within one run mean much.

#![forbid(unsafe_code)]

pub mod codec;
pub mod fanout;
pub mod floor;
pub mod instructions;
pub mod mailbox;
pub mod outbox;
mod rig;
pub mod session;
pub mod table;
pub mod timing;

pub use gpusher_figures::{environment, figure, history};

use figure::Figure;
use timing::Effort;

/// A group of figures: its name and how to take them.
pub type Group = (&'static str, fn(Effort) -> Vec<Figure>);

/// All groups, in the order of a push.
pub const GROUPS: [Group; 6] = [
    ("codec", codec::figures),
    ("session", session::figures),
    ("mailbox", mailbox::figures),
    ("fanout", fanout::figures),
    ("outbox", outbox::figures),
    ("floor", floor::figures),
];
