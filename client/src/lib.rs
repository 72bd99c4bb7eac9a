//! Reference client for version 1 of the client protocol: [`core::Core`] is the protocol without I/O or clock, [`Client`] its face for
//! tokio, [`blocking::Client`] the one for threads.
//!
//! All of them reconnect by themselves, resume where the application was, tell duplicates, and join topics again.
//! A kept message counts as received, and is acknowledged, when the application asks for the next event: who crashes while working on a
//! message gets it again.

#![forbid(unsafe_code)]

pub mod blocking;
pub mod core;
mod error;
mod face;
mod state_file;

pub use crate::core::{Config, End, Event, Message, Positions, Topic};
pub use error::Error;
pub use face::{Client, Sender};
pub use gpusher_proto::wire::{ChannelKind, Code, Target};
pub use state_file::StateFile;
