//! The queue of a connection whose socket is full.

use crate::codec::message;
use crate::figure::Figure;
use crate::timing::{Effort, time};
use gpusher_proto::wire::{EncodedPush, Encoding};
use gpusher_session::{Entry, Lane, Offered, Outbox, OutboxLimits, PIECES_MAX};
use std::hint::black_box;

/// Takes the figures.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let limits = OutboxLimits::default();
    let push = EncodedPush::new(message(64));
    let frame = push.frame(Encoding::V1).clone();
    let mut outbox = Outbox::<u32>::default();
    let cycle = time("16 frames queued, flushed in one write", effort, || {
        for job in 0..PIECES_MAX as u32 {
            let entry = Entry::message(push.message(), frame.clone(), job);
            let offered = outbox.offer(entry, Lane::Pass, &limits, &mut |_, _| {});
            assert_eq!(offered, Offered::Queued);
        }
        let bytes: usize = outbox.pieces().map(|piece| black_box(piece).len()).sum();
        outbox.advance(bytes, &mut |entry| {
            black_box(entry.job);
        });
    });
    vec![cycle]
}
