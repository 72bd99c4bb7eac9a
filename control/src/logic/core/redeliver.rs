//! When unacknowledged messages are sent again, and when they are given up.

use super::cursor::Positions;

/// The redelivery clock of one session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Redelivery {
    /// Since when nothing moved although something is unacknowledged; none: nothing is.
    waiting_since_ms: Option<u64>,
    attempts: u8,
    /// Everything up to here was part of every attempt.
    through: Positions,
}

/// How patient redelivery is.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Wait before each attempt.
    pub wait_ms: u64,
    /// Attempts before giving up.
    pub attempts: u8,
}

/// What is due for a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Wait,
    /// Send everything after the acknowledged positions again.
    Resend,
    /// What is unacknowledged up to here was sent often enough: to the dead letters with it.
    GiveUp(Positions),
}

impl Redelivery {
    /// Looks at a live session: what it acknowledged, and what it was handed.
    pub fn check(
        &mut self,
        now_ms: u64,
        acked: &Positions,
        handed: &Positions,
        schedule: Schedule,
    ) -> Verdict {
        if acked.iter().zip(handed).all(|(acked, handed)| acked >= handed) {
            *self = Self::default();
            return Verdict::Wait;
        }
        let since_ms = *self.waiting_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) < schedule.wait_ms {
            return Verdict::Wait;
        }
        self.waiting_since_ms = Some(now_ms);
        if self.attempts >= schedule.attempts {
            self.attempts = 0;
            return Verdict::GiveUp(self.through);
        }
        if self.attempts == 0 {
            self.through = *handed;
        }
        self.attempts += 1;
        Verdict::Resend
    }

    /// An acknowledgement moved a position: the client is alive, the count begins anew.
    pub fn progressed(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { wait_ms: 30, attempts: 2 };

    #[test]
    fn resends_so_often_then_gives_up_what_was_always_part_of_it() {
        let mut redelivery = Redelivery::default();
        let mut handed = [5, 0, 0];
        let mut at =
            |now_ms, handed: &Positions| redelivery.check(now_ms, &[2, 0, 0], handed, SCHEDULE);
        assert_eq!(at(0, &handed), Verdict::Wait);
        assert_eq!(at(29, &handed), Verdict::Wait);
        assert_eq!(at(30, &handed), Verdict::Resend);
        handed[0] = 9;
        assert_eq!(at(59, &handed), Verdict::Wait);
        assert_eq!(at(60, &handed), Verdict::Resend);
        assert_eq!(at(90, &handed), Verdict::GiveUp([5, 0, 0]));
    }

    #[test]
    fn progress_starts_the_count_anew() {
        let mut redelivery = Redelivery::default();
        redelivery.check(0, &[0; 3], &[5, 0, 0], SCHEDULE);
        assert_eq!(redelivery.check(30, &[0; 3], &[5, 0, 0], SCHEDULE), Verdict::Resend);
        redelivery.progressed();
        assert_eq!(redelivery.check(60, &[1, 0, 0], &[5, 0, 0], SCHEDULE), Verdict::Wait);
        assert_eq!(redelivery.check(90, &[1, 0, 0], &[5, 0, 0], SCHEDULE), Verdict::Resend);
    }

    #[test]
    fn nothing_unacknowledged_nothing_due() {
        let mut redelivery = Redelivery::default();
        for now_ms in [0, 100, 200] {
            assert_eq!(redelivery.check(now_ms, &[5, 1, 0], &[5, 0, 0], SCHEDULE), Verdict::Wait);
        }
    }
}
