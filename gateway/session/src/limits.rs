//! What one connection may do, and what it is told about it.

use gpusher_proto::wire::{BODY_BYTES_MAX, LOGIN_BODY_BYTES_MAX};

/// The same for all connections of a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest body of an admitted connection's frame; also what a compressed body may become.
    pub body_bytes_max: u32,
    /// Largest body of the login, and most bytes that may follow it before the verdict.
    pub login_body_bytes_max: u32,
    /// Frames a second in the long run: everything but acknowledgements counts. 0: no limit.
    pub frames_per_second: u32,
    /// Frames at once after a pause.
    pub frames_burst: u32,
    /// Version 1 may have large contents compressed.
    pub zlib: bool,
    /// Told to version 1: a heartbeat is due after this much silence.
    pub heartbeat_interval_s: u16,
    /// Told to version 1: longest delay of an acknowledgement.
    pub ack_delay_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: BODY_BYTES_MAX,
            login_body_bytes_max: LOGIN_BODY_BYTES_MAX,
            frames_per_second: 100,
            frames_burst: 200,
            zlib: true,
            heartbeat_interval_s: 30,
            ack_delay_ms: 1000,
        }
    }
}
