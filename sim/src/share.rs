//! A member of the queue's consumer group: it has some of the queue's parts, numbers the records it is handed as a consumer does, and tells how far each
//! part is done. A part goes from one member to another when members come and go.

use crate::queue::MemoryQueue;
use gpusher_proto::data::Record;
use std::collections::{BTreeMap, VecDeque};

/// One member's parts, and what it has been handed of them.
pub struct Share {
    queue: MemoryQueue,
    /// By part: read up to here.
    parts: BTreeMap<usize, u64>,
    /// Parts of which nothing more is handed out, and until when their records may be done here.
    leaving: BTreeMap<usize, u64>,
    /// Handed out and not done: the member's own number, the part, the offset.
    open: VecDeque<(u64, usize, u64)>,
    last: u64,
}

impl Share {
    /// A member without parts.
    pub fn new(queue: MemoryQueue) -> Self {
        Self {
            queue,
            parts: BTreeMap::new(),
            leaving: BTreeMap::new(),
            open: VecDeque::new(),
            last: 0,
        }
    }

    /// Parts that it has, those on their way out included.
    pub fn parts(&self) -> impl Iterator<Item = usize> {
        self.parts.keys().copied()
    }

    /// A part is this member's from here on.
    pub fn assign(&mut self, part: usize) {
        self.parts.insert(part, self.queue.done_of(part));
    }

    /// A part is to go: it does, when what is under way of it is done or the time is over.
    pub fn leave(&mut self, part: usize, until_ms: u64) {
        if self.parts.contains_key(&part) {
            self.leaving.entry(part).or_insert(until_ms);
        }
    }

    /// Lets parts go whose time has come.
    pub fn revoke(&mut self, now_ms: u64) {
        let Self { parts, leaving, open, .. } = self;
        leaving.retain(|&part, &mut until_ms| {
            let done = open.iter().all(|&(_, of, _)| of != part);
            let stays = !done && now_ms < until_ms;
            if !stays {
                parts.remove(&part);
                open.retain(|&(_, of, _)| of != part);
            }
            stays
        });
    }

    /// Records that have not been handed out.
    pub fn take(&mut self, limit: usize) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        for (&part, read) in &mut self.parts {
            if self.leaving.contains_key(&part) {
                continue;
            }
            for record in self.queue.of_part(part, *read, limit - records.len()) {
                *read = record.offset;
                self.queue.hand_out(part, &record);
                self.last += 1;
                self.open.push_back((self.last, part, record.offset));
                records.push(Record { offset: self.last, ..record });
            }
        }
        records
    }

    /// Everything handed out up to and including this number is done.
    pub fn commit(&mut self, number: u64) {
        while self.open.front().is_some_and(|&(open, ..)| open <= number) {
            let (_, part, offset) = self.open.pop_front().expect("looked at");
            self.queue.set_done(part, offset);
        }
    }

    /// Whether nothing is handed out and nothing is to be.
    pub fn is_drained(&self) -> bool {
        let read = |(&part, &read): (&usize, &u64)| self.queue.of_part(part, read, 1).is_empty();
        self.open.is_empty() && self.parts.iter().all(read)
    }
}
