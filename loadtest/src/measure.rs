//! What receivers saw of one series: latency, losses, duplicates, disorder.

use crate::message::Stamp;
use hdrhistogram::Histogram;
use rustc_hash::FxHashSet;

/// One thread's view of one series; views of several threads are added up.
#[derive(Debug, Clone)]
pub struct Series {
    /// Intended send time to receipt, in nanoseconds.
    pub latency_ns: Histogram<u64>,
    /// Messages counted once.
    pub received: u64,
    /// Messages seen again.
    pub duplicates: u64,
    /// Messages that came after one with a higher sequence number of their channel, for the first time.
    pub disordered: u64,
    /// Numbers skipped and not seen since.
    pub missing: u64,
    /// When the last receiver had the last message, in nanoseconds of the run's clock.
    pub last_receipt_ns: u64,
    /// Longest latency of each number, in nanoseconds: how long a broadcast took to its last receiver. The first 65,536 numbers.
    pub slowest_ns: Vec<u64>,
    /// Highest number of the series, and highest sequence number of the channel, seen by each connection. Pushes offered at the same time may be
    /// accepted in another order than they were numbered in; order is what the sequence says.
    highest: Vec<(u32, u64)>,
    /// Numbers below the highest not seen yet, as (connection, number). Bounded: what does not fit stays missing.
    gaps: FxHashSet<(u32, u32)>,
}

const GAPS_MAX: usize = 1 << 20;
const SLOWEST_MAX: usize = 1 << 16;
const LATENCY_NS_MAX: u64 = 600_000_000_000;

impl Series {
    /// A series over that many connections.
    pub fn new(connections: usize) -> Self {
        Self {
            latency_ns: Histogram::new_with_bounds(1_000, LATENCY_NS_MAX, 3)
                .expect("the bounds are valid"),
            received: 0,
            duplicates: 0,
            disordered: 0,
            missing: 0,
            last_receipt_ns: 0,
            slowest_ns: Vec::new(),
            highest: vec![(0, 0); connections],
            gaps: FxHashSet::default(),
        }
    }

    /// A connection got a message, with this sequence number of its channel.
    pub fn on_receipt(&mut self, connection: u32, stamp: Stamp, seq: u64, now_ns: u64) {
        let (highest, highest_seq) = &mut self.highest[connection as usize];
        if stamp.number > *highest {
            let skipped = *highest + 1..stamp.number;
            self.missing += skipped.len() as u64;
            let room = GAPS_MAX.saturating_sub(self.gaps.len());
            self.gaps.extend(skipped.take(room).map(|number| (connection, number)));
            *highest = stamp.number;
        } else if self.gaps.remove(&(connection, stamp.number)) {
            self.missing -= 1;
        } else {
            self.duplicates += 1;
            return;
        }
        self.disordered += u64::from(seq < *highest_seq);
        *highest_seq = (*highest_seq).max(seq);
        self.received += 1;
        self.last_receipt_ns = self.last_receipt_ns.max(now_ns);
        let latency_ns = now_ns.saturating_sub(stamp.intended_ns);
        self.latency_ns.saturating_record(latency_ns);
        self.note_slowest(stamp.number as usize, latency_ns);
    }

    /// Numbers count from 1.
    fn note_slowest(&mut self, number: usize, latency_ns: u64) {
        if self.slowest_ns.len() < number.min(SLOWEST_MAX) {
            self.slowest_ns.resize(number.min(SLOWEST_MAX), 0);
        }
        if let Some(slowest_ns) = self.slowest_ns.get_mut(number.wrapping_sub(1)) {
            *slowest_ns = latency_ns.max(*slowest_ns);
        }
    }

    /// Adds another thread's view. Connections of the two are different ones.
    pub fn add(&mut self, other: &Self) {
        self.latency_ns.add(&other.latency_ns).expect("histograms of one shape");
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.disordered += other.disordered;
        self.missing += other.missing;
        self.last_receipt_ns = self.last_receipt_ns.max(other.last_receipt_ns);
        for (index, slowest_ns) in other.slowest_ns.iter().enumerate() {
            self.note_slowest(index + 1, *slowest_ns);
        }
    }

    /// Latency at a quantile, in milliseconds.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency_ns.value_at_quantile(quantile) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u32) -> Stamp {
        Stamp { series: 1, number, intended_ns: 1_000 }
    }

    #[test]
    fn tells_loss_duplicates_and_disorder_apart() {
        let mut series = Series::new(2);
        // 3 was accepted after 4, and so comes after it; 5 is overtaken; 7 is lost.
        for (number, seq) in
            [(1, 10), (2, 11), (4, 12), (4, 12), (3, 13), (6, 15), (5, 14), (8, 17)]
        {
            series.on_receipt(0, stamp(number), seq, 2_000_000);
        }
        series.on_receipt(1, stamp(1), 10, 3_000_000);
        assert_eq!(series.received, 8);
        assert_eq!((series.duplicates, series.disordered, series.missing), (1, 1, 1));
        assert_eq!(series.last_receipt_ns, 3_000_000);
        assert_eq!(series.slowest_ns[..2], [2_999_000, 1_999_000]);
    }
}
