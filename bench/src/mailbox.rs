//! The queue into a shard.

use crate::timing::{Effort, Figure, time};
use gpusher_sys::mailbox::mailbox;
use std::hint::black_box;

/// Takes the figures.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let (sender, mut receiver) = mailbox::<u64>(4096).expect("an eventfd");
    let awake = time("send to a shard that is awake, and take", effort, || {
        sender.send(black_box(1)).expect("there is room");
        black_box(receiver.pop());
    });
    let asleep = time("send to a shard that sleeps (one system call), and take", effort, || {
        assert!(receiver.prepare_sleep(), "it is empty");
        sender.send(black_box(1)).expect("there is room");
        receiver.awake();
        black_box(receiver.pop());
    });
    vec![awake, asleep]
}
