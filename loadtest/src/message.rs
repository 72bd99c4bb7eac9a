//! What the generator writes into a push, so that every receiver can tell what it got.
//!
//! `gp <series> <number> <intended send time, ns>` in decimal, padded with dots to the size asked for. Numbers of a series
//! start at 1 and rise by 1 for each receiver, so that a receiver sees losses, duplicates and disorder by itself.

use std::fmt::Write;
use std::time::Instant;

/// Fields of a push made by this generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which phase of the run.
    pub series: u32,
    /// Counts from 1.
    pub number: u32,
    /// When it should have been sent, in nanoseconds of the run's clock.
    pub intended_ns: u64,
}

impl Stamp {
    /// Appends the content to push, at least `size` bytes long.
    pub fn write(&self, size: usize, out: &mut String) {
        let begin = out.len();
        write!(out, "gp {} {} {} ", self.series, self.number, self.intended_ns)
            .expect("a string takes all");
        let missing = size.saturating_sub(out.len() - begin);
        out.extend(std::iter::repeat_n('.', missing));
    }

    /// Reads the fields back; `None` for pushes of somebody else.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let mut rest = content.strip_prefix(b"gp ")?;
        Some(Self {
            series: take_decimal(&mut rest)?.try_into().ok()?,
            number: take_decimal(&mut rest)?.try_into().ok()?,
            intended_ns: take_decimal(&mut rest)?,
        })
    }
}

/// A number and the space behind it. One pass: there are millions a second to read.
fn take_decimal(rest: &mut &[u8]) -> Option<u64> {
    let mut sum = 0u64;
    for (index, &byte) in rest.iter().take(20).enumerate() {
        if byte == b' ' {
            *rest = &rest[index + 1..];
            return (index > 0).then_some(sum);
        }
        let digit = byte.wrapping_sub(b'0');
        sum =
            if digit < 10 { sum.checked_mul(10)?.checked_add(digit.into())? } else { return None };
    }
    None
}

/// The run's clock: nanoseconds since the generator started, the same in all its threads.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a run ends within 584 years")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_comes_back_at_any_size() {
        let stamp = Stamp { series: 3, number: 41, intended_ns: 123_456_789_012 };
        for size in [0, 64, 1024] {
            let mut content = String::new();
            stamp.write(size, &mut content);
            assert!(content.len() >= size);
            assert_eq!(Stamp::parse(content.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn foreign_content_is_not_ours() {
        for content in ["", "gp ", "gp 1 2", "gp 1 2 x ", "hello", "gp 99999999999 1 1 "] {
            assert_eq!(Stamp::parse(content.as_bytes()), None, "{content}");
        }
    }
}
