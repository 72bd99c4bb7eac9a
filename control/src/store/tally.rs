//! Counters of pushes: what a batch adds to each, and their columns.

use super::rows::{decode_push, position, signed, unsigned};
use crate::error::Result;
use gpusher_proto::data::Status;
use rustc_hash::FxHashMap;

/// A message as it is kept, and how many logs it is in.
pub(super) type Kept = (Vec<u8>, i64);

/// Whether it says what the push is: what was not written before logic was killed does not.
pub(super) fn is_described(status: &Option<Status>) -> bool {
    status.is_some_and(|status| status.accepted_at_ms != 0)
}

/// What is known of a push, with what its kept message tells.
pub(super) fn described(id: u64, known: Option<Status>, (push, logs): &Kept) -> Result<Status> {
    let push = decode_push(push)?;
    let known = known.unwrap_or_default();
    Ok(Status {
        id,
        app_id: push.app_id,
        r#type: push.r#type,
        accepted_at_ms: push.accepted_at_ms,
        expires_at_ms: push.expires_at_ms,
        stored: known.stored.max(unsigned(*logs)),
        ..known
    })
}

/// Columns of `statuses`, in the order of [`to_row`].
pub(super) const COLUMNS: usize = 20;

/// A batch reports the same push many times, as batches of one fan-out do: one row is written for it.
pub(super) fn sum_per_push(deltas: &[Status]) -> Vec<Status> {
    let mut index = FxHashMap::default();
    let mut sums = Vec::<Status>::new();
    for delta in deltas {
        let at = *index.entry(delta.id).or_insert(sums.len());
        match sums.get_mut(at) {
            Some(sum) => add(sum, delta),
            None => sums.push(*delta),
        }
    }
    sums
}

fn add(sum: &mut Status, delta: &Status) {
    sum.app_id = sum.app_id.max(delta.app_id);
    sum.r#type = sum.r#type.max(delta.r#type);
    sum.accepted_at_ms = sum.accepted_at_ms.max(delta.accepted_at_ms);
    sum.expires_at_ms = sum.expires_at_ms.max(delta.expires_at_ms);
    sum.recalled |= delta.recalled;
    for (total, more) in counters_mut(sum).into_iter().zip(counters(delta)) {
        *total = total.saturating_add(more);
    }
}

fn counters_mut(status: &mut Status) -> [&mut u64; 13] {
    [
        &mut status.gateways,
        &mut status.stored,
        &mut status.written,
        &mut status.queued,
        &mut status.acked,
        &mut status.absent,
        &mut status.expired,
        &mut status.overflowed,
        &mut status.replayed,
        &mut status.redelivered,
        &mut status.dead,
        &mut status.withdrawn,
        &mut status.done,
    ]
}

fn counters(status: &Status) -> [u64; 13] {
    let mut copy = *status;
    counters_mut(&mut copy).map(|counter| *counter)
}

/// The columns: id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms, recalled, then the counters from gateways to done.
pub(super) fn to_row(status: &Status, filed_at_ms: i64) -> [i64; COLUMNS] {
    let mut row = [0; COLUMNS];
    let (fixed, counts) = row.split_at_mut(7);
    fixed.copy_from_slice(&[
        signed(status.id),
        filed_at_ms,
        i64::from(status.app_id),
        i64::from(status.r#type),
        status.accepted_at_ms,
        status.expires_at_ms,
        i64::from(status.recalled),
    ]);
    for (value, counter) in counts.iter_mut().zip(counters(status)) {
        *value = position(counter);
    }
    row
}

/// The reverse of [`to_row`].
pub(super) fn from_row(row: [i64; COLUMNS]) -> Status {
    let mut status = Status {
        id: unsigned(row[0]),
        app_id: row[2] as u32,
        r#type: row[3] as u32,
        accepted_at_ms: row[4],
        expires_at_ms: row[5],
        recalled: row[6] != 0,
        ..Status::default()
    };
    for (counter, value) in counters_mut(&mut status).into_iter().zip(&row[7..]) {
        *counter = unsigned(*value);
    }
    status
}
