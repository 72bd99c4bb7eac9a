//! What happened: the last events to read, and a hash of all of them to compare runs by.

use std::collections::VecDeque;
use std::fmt;

/// Events kept for a report.
const KEPT: usize = 400;

/// The events of a run.
#[derive(Debug)]
pub struct Trace {
    last: VecDeque<String>,
    hash: u64,
    count: u64,
    print: bool,
}

impl Trace {
    /// An empty trace; `print`: events are printed as they happen, too.
    pub fn new(print: bool) -> Self {
        Self { last: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325, count: 0, print }
    }

    /// Adds an event.
    pub fn note(&mut self, step: u64, ms: u64, event: fmt::Arguments<'_>) {
        let line = format!("{step:>6} {ms:>9} {event}");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.print {
            println!("{line}");
        }
        self.count += 1;
        self.last.push_back(line);
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    /// Of all events so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last ones, oldest first.
    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}
