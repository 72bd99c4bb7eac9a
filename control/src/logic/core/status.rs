//! What happened to pushes, as sums to be added to the store's: bounded, written in batches.

use gpusher_proto::data::Status;
use rustc_hash::FxHashMap;

/// Deltas that are not written yet. When the table is full, further pushes are not counted, and that is counted.
#[derive(Debug)]
pub struct Deltas {
    rows: FxHashMap<u64, Status>,
    limit: usize,
    dropped: u64,
}

impl Deltas {
    /// Room for this many pushes.
    pub fn new(limit: usize) -> Self {
        Self { rows: FxHashMap::default(), limit, dropped: 0 }
    }

    /// Adds to a push's counters.
    pub fn add(&mut self, message: u64, change: impl FnOnce(&mut Status)) {
        if self.rows.len() >= self.limit && !self.rows.contains_key(&message) {
            self.dropped += 1;
            return;
        }
        let row = self.rows.entry(message);
        change(row.or_insert_with(|| Status { id: message, ..Status::default() }));
    }

    /// Takes up to `limit` rows to write.
    pub fn take(&mut self, limit: usize) -> Vec<Status> {
        if self.rows.len() <= limit {
            return self.rows.drain().map(|(_, row)| row).collect();
        }
        let ids: Vec<u64> = self.rows.keys().take(limit).copied().collect();
        ids.iter().filter_map(|id| self.rows.remove(id)).collect()
    }

    /// Takes back what could not be written.
    pub fn give_back(&mut self, rows: Vec<Status>) {
        for row in rows {
            self.add(row.id, |sum| merge(sum, &row));
        }
    }

    /// Whether there is something to write.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Changes lost because the table was full, since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

fn merge(sum: &mut Status, delta: &Status) {
    sum.app_id = sum.app_id.max(delta.app_id);
    sum.r#type = sum.r#type.max(delta.r#type);
    sum.accepted_at_ms = sum.accepted_at_ms.max(delta.accepted_at_ms);
    sum.expires_at_ms = sum.expires_at_ms.max(delta.expires_at_ms);
    add_counts(sum, delta);
}

/// Adds what happened to a message to what is known of it; what the message is, is left.
pub fn add_counts(sum: &mut Status, delta: &Status) {
    sum.recalled |= delta.recalled;
    sum.gateways += delta.gateways;
    sum.stored += delta.stored;
    sum.written += delta.written;
    sum.queued += delta.queued;
    sum.acked += delta.acked;
    sum.absent += delta.absent;
    sum.expired += delta.expired;
    sum.overflowed += delta.overflowed;
    sum.replayed += delta.replayed;
    sum.redelivered += delta.redelivered;
    sum.dead += delta.dead;
    sum.withdrawn += delta.withdrawn;
    sum.done += delta.done;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_one_push_add_up_across_a_failed_write() {
        let mut deltas = Deltas::new(4);
        deltas.add(1, |row| row.written += 2);
        let taken = deltas.take(10);
        deltas.add(1, |row| row.written += 3);
        deltas.give_back(taken);
        assert_eq!(deltas.take(10)[0].written, 5);
        assert!(deltas.is_empty());
    }

    #[test]
    fn a_full_table_counts_what_it_loses() {
        let mut deltas = Deltas::new(2);
        for id in 0..5 {
            deltas.add(id, |row| row.acked += 1);
        }
        deltas.add(0, |row| row.acked += 1);
        assert_eq!(deltas.take_dropped(), 3);
        assert_eq!(deltas.take(1).len(), 1);
        assert_eq!(deltas.take(1).len(), 1);
        assert!(deltas.is_empty());
    }
}
