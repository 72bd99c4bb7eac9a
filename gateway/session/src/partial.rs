//! Bytes that cannot be acted on yet. Only connections that have some pay for it.

/// Part of a frame, or what was sent between the login and its verdict.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    pub(crate) bytes: Vec<u8>,
    /// Of version 0's login while that is pending: its answer has the same.
    pub(crate) login_stream_id: u64,
}

/// Memory follows what has arrived, not what a header announces.
const GROWTH_BYTES_MIN: usize = 64;

impl Partial {
    pub(crate) fn of_login(stream_id: u64) -> Box<Self> {
        Box::new(Self { bytes: Vec::new(), login_stream_id: stream_id })
    }

    /// Appends bytes, of which there will be `total` in the end: doubles, but never beyond that.
    pub(crate) fn extend(&mut self, bytes: &[u8], total: usize) {
        let len = self.bytes.len() + bytes.len();
        assert!(len <= total);
        if len > self.bytes.capacity() {
            let capacity = len.max(2 * self.bytes.len()).max(GROWTH_BYTES_MIN).min(total);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_what_arrived() {
        let mut partial = Partial::default();
        for arrived in 1..=100_000usize {
            partial.extend(&[0], 4 << 20);
            assert!(partial.bytes.capacity() <= (2 * arrived).max(GROWTH_BYTES_MIN));
        }
        let mut partial = Partial::default();
        for _ in 0..21 {
            partial.extend(&[0], 21);
        }
        assert_eq!(partial.bytes.capacity(), 21);
    }
}
