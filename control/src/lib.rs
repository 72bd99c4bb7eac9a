//! The control plane: web, logic and message as roles of one binary.

#![forbid(unsafe_code)]

pub mod error;
pub mod logic;
pub mod message_id;
pub mod queue;
pub mod routes;
pub mod store;
pub mod web;
