//! Expiry when wall clocks jump: what had expired by one of them may be gone, or come after what it was ahead of, and nothing else is excused.

use super::unix_ms;

/// What the wall clocks of processes have shown.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    jumps: Vec<Jump>,
}

/// A time in which one was wrong.
#[derive(Debug, Clone)]
struct Jump {
    ahead_ms: i64,
    /// On the ledger's clock, and in Unix milliseconds by right clocks; none: it still is.
    until: Option<(u64, u64)>,
}

impl Clocks {
    /// From now on one is ahead by so many milliseconds, or behind; 0: it is right again.
    pub(super) fn jump(&mut self, ahead_ms: i64, now_us: u64) {
        if let Some(last) = self.jumps.last_mut()
            && last.until.is_none()
        {
            last.until = Some((now_us, unix_ms()));
        }
        if ahead_ms != 0 {
            self.jumps.push(Jump { ahead_ms, until: None });
        }
    }

    /// Whether something expires at a time that a right clock shows by now.
    pub fn has_expired(&self, expires_at_ms: Option<u64>) -> bool {
        expires_at_ms.is_some_and(|at_ms| at_ms <= unix_ms())
    }

    /// Whether something that exists since then on the ledger's clock expires at a time that a clock has shown which was ahead.
    pub fn may_have_expired(&self, since_us: u64, expires_at_ms: Option<u64>) -> bool {
        let Some(at_ms) = expires_at_ms else { return false };
        self.jumps.iter().filter(|jump| jump.ahead_ms > 0).any(|jump| {
            let (until_us, until_ms) = jump.until.unwrap_or((u64::MAX, unix_ms()));
            until_us >= since_us && at_ms <= until_ms.saturating_add_signed(jump.ahead_ms)
        })
    }

    /// How far two of them were apart at most, if not at the same time: what one dated may have aged so much by another.
    pub fn apart_ms(&self) -> u64 {
        let ahead = self.jumps.iter().map(|jump| jump.ahead_ms);
        let (most, least) = (ahead.clone().max().unwrap_or(0), ahead.min().unwrap_or(0));
        most.max(0).abs_diff(least.min(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_excuses_what_was_there_and_expired_by_it() {
        let mut clocks = Clocks::default();
        let in_s = |seconds: u64| Some(unix_ms() + seconds * 1_000);
        assert!(!clocks.may_have_expired(0, in_s(1)) && clocks.has_expired(in_s(0)));
        clocks.jump(60_000, 10);
        assert!(clocks.may_have_expired(20, in_s(59)), "it is ahead still");
        clocks.jump(0, 30);
        clocks.jump(-300_000, 40);
        clocks.jump(0, 50);
        assert!(clocks.may_have_expired(20, in_s(59)) && clocks.may_have_expired(5, in_s(59)));
        assert!(!clocks.may_have_expired(31, in_s(59)), "it came after the jump");
        assert!(!clocks.may_have_expired(20, in_s(62)), "not even by that clock");
        assert!(!clocks.may_have_expired(20, None) && !clocks.has_expired(None));
        assert_eq!(clocks.apart_ms(), 360_000);
    }
}
