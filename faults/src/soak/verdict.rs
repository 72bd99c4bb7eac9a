//! Whether anything grew that should not have.

use super::{Reading, Sample};
use serde::Serialize;
use std::fmt;

/// Connections that a pool may have opened meanwhile.
const DESCRIPTORS_SLACK: u64 = 4;
/// What an allocator may hold back, whatever the process needs: one in so many bytes, at least this.
const BYTES_SHARE: u64 = 20;
const BYTES_SLACK: u64 = 3 << 20;

/// Something that was compared from the first rest to the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leak {
    /// Process, or the network.
    pub of: String,
    /// What.
    pub what: &'static str,
    /// At the first rest.
    pub first: u64,
    /// At the last.
    pub last: u64,
    /// The line through all samples between them, over that time; none: not asked for.
    pub trend: Option<i64>,
    /// It may have grown by this.
    pub slack: u64,
    /// Connections in between.
    pub connections: u64,
}

impl Leak {
    /// Whether it has grown by more than it may.
    pub fn is_one(&self) -> bool {
        let trend = self.trend.is_none_or(|trend| trend > self.slack as i64);
        // Memory counts as leaked if it grows all the time, not if the last look met a buffer.
        self.last > self.first + self.slack && trend
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, what, first, last, slack, connections, .. } = self;
        write!(f, "{of}: {first} {what} at the first rest, {last} at the last, ")?;
        write!(f, "{slack} more would be allowed, after {connections} connections")
    }
}

/// Compares the last rest with the first.
pub(super) fn compare(samples: &[Sample], connections: u64) -> Vec<Leak> {
    let mut rests = samples.iter().filter(|sample| sample.resting);
    let (Some(first), Some(last)) = (rests.next(), rests.next_back()) else { return Vec::new() };
    let leak = |of: &str, what, first, last, trend, slack| Leak {
        of: of.to_owned(),
        what,
        first,
        last,
        trend,
        slack,
        connections,
    };
    let mut leaks = vec![
        leak("gateways", "connection slots", first.slots, last.slots, None, 0),
        leak("network", "sockets", first.sockets, last.sockets, None, 2 * DESCRIPTORS_SLACK),
    ];
    for before in &first.parts {
        let Some(after) = last.parts.iter().find(|part| part.part == before.part) else { continue };
        let (from, to) = (before.descriptors, after.descriptors);
        leaks.push(leak(&before.part, "descriptors", from, to, None, DESCRIPTORS_SLACK));
        let (from, to) = (before.anonymous_bytes, after.anonymous_bytes);
        let slack = (from / BYTES_SHARE).max(BYTES_SLACK);
        let trend = trend(samples, (first.at_s, last.at_s), &before.part);
        leaks.push(leak(&before.part, "bytes of memory", from, to, Some(trend), slack));
    }
    leaks
}

/// Growth of the memory over the time between two moments, by the line of least squares.
fn trend(samples: &[Sample], (from_s, to_s): (f64, f64), part: &str) -> i64 {
    let find = |sample: &Sample| -> Option<(f64, f64)> {
        let is_it = |reading: &&Reading| reading.part == part;
        let bytes = sample.parts.iter().find(is_it)?.anonymous_bytes;
        (from_s..=to_s).contains(&sample.at_s).then_some((sample.at_s, bytes as f64))
    };
    let points: Vec<(f64, f64)> = samples.iter().filter_map(find).collect();
    let count = points.len().max(1) as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (x, y) = (x / count, y / count);
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (together / square.max(f64::MIN_POSITIVE) * (to_s - from_s)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample each second; every tenth is a rest.
    fn samples(bytes: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second: u64| Sample {
            at_s: second as f64,
            resting: second.is_multiple_of(10),
            slots: 0,
            sockets: 9,
            kernel_bytes: 0,
            parts: vec![Reading {
                part: "it".into(),
                anonymous_bytes: bytes(second),
                resident_bytes: 0,
                descriptors: descriptors(second),
                cpu_ticks: 0,
            }],
        };
        (1..=100).map(sample).collect()
    }

    fn leaking(samples: &[Sample]) -> Vec<&'static str> {
        let leaks = compare(samples, 1_000);
        leaks.iter().filter(|leak| leak.is_one()).map(|leak| leak.what).collect()
    }

    #[test]
    fn what_goes_up_and_down_is_no_leak() {
        let flat = samples(|second| (30 << 20) + ((second % 7) << 20), |second| 20 + second % 3);
        assert_eq!(leaking(&flat), Vec::<&str>::new());
        assert_eq!(compare(&flat, 1).len(), 4);
    }

    #[test]
    fn a_buffer_at_the_last_look_is_no_leak() {
        let late = samples(|second| if second == 100 { 50 << 20 } else { 30 << 20 }, |_| 20);
        assert_eq!(leaking(&late), Vec::<&str>::new());
    }

    #[test]
    fn what_grows_is_one() {
        let memory = samples(|second| (30 << 20) + (second << 16), |_| 20);
        assert_eq!(leaking(&memory), ["bytes of memory"]);
        let descriptors = samples(|_| 30 << 20, |second| 20 + second / 10);
        assert_eq!(leaking(&descriptors), ["descriptors"]);
    }

    #[test]
    fn one_rest_compares_nothing() {
        assert_eq!(compare(&samples(|_| 1, |_| 1)[..15], 1), Vec::new());
    }
}
