//! The load generator: many client connections, pushes over HTTP at a given rate, and what came of them.

#![forbid(unsafe_code)]

pub mod account;
pub mod compare;
pub mod crew;
mod crowd;
pub mod driver;
pub mod measure;
pub mod message;
pub mod offer;
pub mod order;
mod pace;
pub mod plan;
pub mod process;
pub mod progress;
pub mod protocol;
pub mod receipts;
pub mod report;
pub mod run;
pub mod sample;
pub mod server;
pub mod step;
pub mod swarm;
