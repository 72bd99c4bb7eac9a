//! The real programs under real faults: starts the product as processes, holds thousands of clients on it, pushes every type of message over
//! HTTP, does one kind of harm again and again at moments drawn from a seed, and then closes the books.
//!
//! accepted = delivered + expired + recalled + dead + pending + lost, for every receiver of every kept push; lost has to be 0, and so have
//! messages that an application sees again, that come to somebody else, or out of their order.
//!
//! Which processes there are ([`deployment`]), what they go through ([`fault`]), and what is done with them meanwhile ([`crowd`], [`traffic`])
//! know nothing of each other.

#![forbid(unsafe_code)]

pub mod api;
pub mod audit;
pub mod crowd;
pub mod deployment;
pub mod fault;
pub mod ledger;
pub mod metrics;
pub mod network;
mod random;
pub mod readiness;
pub mod recovery;
pub mod report;
pub mod run;
pub mod soak;
pub mod stage;
pub mod traffic;
