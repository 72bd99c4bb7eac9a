//! The control plane: web, logic and message as roles of one binary.

#![forbid(unsafe_code)]

pub mod auth;
pub mod backend;
pub mod boot;
pub mod config;
mod device;
pub mod error;
pub mod logic;
pub mod message;
pub mod message_id;
pub mod metrics;
pub mod queue;
pub mod routes;
pub mod server_url;
mod slots;
pub mod store;
pub mod web;
