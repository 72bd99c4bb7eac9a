//! Numbers that `WIRE.md` fixes. What operators may lower is an argument elsewhere.

/// First byte of every frame.
pub const MAGIC: u8 = 0x45;
/// A body is at most this long.
pub const BODY_BYTES_MAX: u32 = 4 << 20;
/// A body is at most this long while the login is not accepted.
pub const LOGIN_BODY_BYTES_MAX: u32 = 8 << 10;
/// Users, devices, topics and keys are at most this long.
pub const NAME_BYTES_MAX: usize = 64;
/// Channels that a login may name: own, app, everyone.
pub const RESUME_ENTRIES_MAX: usize = 3;
/// Contents over this are compressed for those who asked for it.
pub const COMPRESS_ABOVE_BYTES: usize = 1 << 10;
