//! The HTTP API over real connections, on backends in memory whose failures can be ordered.

mod admin;
mod api_key;
mod bad_bodies;
mod batch;
mod described;
mod fakes;
mod idempotency;
mod limits;
mod mail;
mod presence;
mod push_errors;
mod push_jobs;
mod push_status;
mod readiness;
mod server;
mod token;
