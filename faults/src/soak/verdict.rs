//! Whether anything grew that should not have.

use super::{Reading, Sample};
use serde::Serialize;
use std::fmt;

/// Connections that a pool may have opened meanwhile.
const DESCRIPTORS_SLACK: u64 = 4;
/// Of the live heap: buffers stay as large as the largest burst so far has made them. After the 60,000 connections of an hour it is 70 bytes of each.
const HEAP_SLACK: u64 = 4 << 20;
/// Of the resident memory: what an allocator keeps goes up and down. One in so many bytes, at least this.
const RESIDENT_SHARE: u64 = 4;
const RESIDENT_SLACK: u64 = 16 << 20;

/// Something that was compared over the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leak {
    /// Process, or the network.
    pub of: String,
    /// What.
    pub what: &'static str,
    /// At the first rest; of resident memory the most in the first half.
    pub first: u64,
    /// At the last; the most in the second half.
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
        // The heap counts as leaking if it grows all the time, not if the last look met a buffer.
        self.last > self.first + self.slack && trend
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, what, first, last, slack, connections, .. } = self;
        write!(f, "{of}: {first} {what} at first, {last} at last, ")?;
        write!(f, "{slack} more would be allowed, after {connections} connections")
    }
}

/// Compares the last rest with the first, and the second half of the run with its first.
pub(super) fn compare(samples: &[Sample], connections: u64) -> Vec<Leak> {
    let mut rests = samples.iter().filter(|sample| sample.resting);
    let (Some(first), Some(last)) = (rests.next(), rests.next_back()) else { return Vec::new() };
    let leak = |of: &str, what, (first, last), trend, slack| Leak {
        of: of.to_owned(),
        what,
        first,
        last,
        trend,
        slack,
        connections,
    };
    let (slots, sockets) = ((first.slots, last.slots), (first.sockets, last.sockets));
    let mut leaks = vec![
        leak("gateways", "connection slots", slots, None, 0),
        leak("network", "sockets", sockets, None, 2 * DESCRIPTORS_SLACK),
    ];
    for part in &first.parts {
        let span = Span::of(&part.part, samples, (first.at_s, last.at_s));
        leaks.extend(
            span.rests(|part| Some(part.descriptors))
                .map(|ends| leak(&part.part, "descriptors", ends, None, DESCRIPTORS_SLACK)),
        );
        let heaps: [(_, Heap); 2] = [
            ("bytes of live heap", |part| part.heap_bytes),
            ("bytes of live heap in C", |part| part.heap_bytes_in_c),
        ];
        for (what, heap) in heaps {
            let ends = span.rests(heap);
            leaks.extend(
                ends.map(|ends| leak(&part.part, what, ends, Some(span.trend(heap)), HEAP_SLACK)),
            );
        }
        let halves = span.halves(|part| part.anonymous_bytes);
        let slack = (halves.0 / RESIDENT_SHARE).max(RESIDENT_SLACK);
        leaks.push(leak(&part.part, "resident bytes at most, by halves", halves, None, slack));
    }
    leaks
}

/// One of the heaps that a process tells, if it does.
type Heap = fn(&Reading) -> Option<u64>;

/// One process from the first rest to the last, by seconds.
struct Span<'a>(Vec<(f64, &'a Reading)>);

impl<'a> Span<'a> {
    fn of(part: &str, samples: &'a [Sample], (from_s, to_s): (f64, f64)) -> Self {
        let between = samples.iter().filter(|sample| (from_s..=to_s).contains(&sample.at_s));
        let readings = between.filter_map(|sample| {
            let reading = sample.parts.iter().find(|reading| reading.part == part)?;
            Some((sample.at_s, reading))
        });
        Self(readings.collect())
    }

    /// A value at both ends.
    fn rests(&self, value: impl Fn(&Reading) -> Option<u64>) -> Option<(u64, u64)> {
        let (first, last) = (self.0.first()?, self.0.last()?);
        Some((value(first.1)?, value(last.1)?))
    }

    /// The most in the first half of the time, and in the second.
    fn halves(&self, value: impl Fn(&Reading) -> u64) -> (u64, u64) {
        let (from_s, to_s) = match &self.0[..] {
            [(from_s, _), .., (to_s, _)] => (*from_s, *to_s),
            _ => (0.0, 0.0),
        };
        let middle = self.0.partition_point(|(at_s, _)| *at_s < (from_s + to_s) / 2.0);
        let most = |part: &[(f64, &Reading)]| part.iter().map(|(_, it)| value(it)).max();
        let (before, after) = self.0.split_at(middle);
        (most(before).unwrap_or_default(), most(after).unwrap_or_default())
    }

    /// Growth over the time, by the line of least squares.
    fn trend(&self, value: impl Fn(&Reading) -> Option<u64>) -> i64 {
        let values = self.0.iter().filter_map(|(at_s, it)| Some((*at_s, value(it)? as f64)));
        let points: Vec<(f64, f64)> = values.collect();
        let ([(from_s, _), ..], [.., (to_s, _)]) = (&points[..], &points[..]) else { return 0 };
        let count = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, at| (sum.0 + at.0, sum.1 + at.1));
        let (x, y) = (x / count, y / count);
        let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        (together / square.max(f64::MIN_POSITIVE) * (to_s - from_s)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample each second; every tenth is a rest. Values by second.
    fn samples(
        heap: impl Fn(u64) -> u64,
        resident: impl Fn(u64) -> u64,
        descriptors: impl Fn(u64) -> u64,
    ) -> Vec<Sample> {
        let sample = |second: u64| Sample {
            at_s: second as f64,
            resting: second.is_multiple_of(10),
            slots: 0,
            sockets: 9,
            kernel_bytes: 0,
            parts: vec![Reading {
                part: "it".into(),
                heap_bytes: Some(heap(second)),
                heap_bytes_in_c: Some(4 << 20),
                anonymous_bytes: resident(second),
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
        let flat = samples(
            |second| (30 << 20) + ((second % 7) << 20),
            |second| (40 << 20) + ((second % 31) << 20),
            |second| 20 + second % 3,
        );
        assert_eq!(leaking(&flat), Vec::<&str>::new());
        assert_eq!(compare(&flat, 1).len(), 6);
    }

    #[test]
    fn a_buffer_at_the_last_look_is_no_leak() {
        let heap = |second| if second == 100 { 50 << 20 } else { 30 << 20 };
        assert_eq!(leaking(&samples(heap, |_| 60 << 20, |_| 20)), Vec::<&str>::new());
    }

    #[test]
    fn what_grows_is_one() {
        let heap = samples(|second| (30 << 20) + (second << 16), |_| 60 << 20, |_| 20);
        assert_eq!(leaking(&heap), ["bytes of live heap"]);
        let resident = samples(|_| 30 << 20, |second| (60 << 20) + (second << 19), |_| 20);
        assert_eq!(leaking(&resident), ["resident bytes at most, by halves"]);
        let descriptors = samples(|_| 30 << 20, |_| 60 << 20, |second| 20 + second / 10);
        assert_eq!(leaking(&descriptors), ["descriptors"]);
    }

    #[test]
    fn rests_that_were_read_are_enough() {
        let mut samples = samples(|second| (30 << 20) + (second << 16), |_| 60 << 20, |_| 20);
        for sample in samples.iter_mut().filter(|sample| !sample.resting) {
            sample.parts[0].heap_bytes = None;
        }
        assert_eq!(leaking(&samples), ["bytes of live heap"]);
    }

    #[test]
    fn one_rest_compares_nothing() {
        assert_eq!(compare(&samples(|_| 1, |_| 1, |_| 1)[..15], 1), Vec::new());
    }
}
