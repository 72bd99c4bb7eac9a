//! The core in virtual time: against scripted server frames, and against the gateway's own session.

mod pair;
mod reconnect;
mod requests;
mod resume;
mod scripted;
