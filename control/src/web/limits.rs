//! Bounds that the wire sets, so nobody may configure them away.

use super::envelope::ApiError;

/// Users, topics and tags: WIRE.md has them in at most 64 bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Devices may be nameless.
pub(super) const DEVICE_BYTES_MAX: usize = 64;
/// Seven days.
pub(super) const EXPIRE_TIME_MAX: u64 = 7 * 24 * 3_600;
/// Rows of one page.
pub(super) const PAGE_MAX: u32 = 1_000;
/// Rows when nobody says how many.
pub(super) const PAGE_DEFAULT: u32 = 100;

/// Checks a name of a user, topic or tag.
pub(super) fn check_name(code: u16, field: &str, name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid(code, field, format!("{field} is missing")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(ApiError::invalid(code, field, format!("{field} is longer than 64 bytes")));
    }
    Ok(())
}

/// The page size asked for, within bounds.
pub(super) fn page(limit: Option<u32>) -> u32 {
    limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX)
}
