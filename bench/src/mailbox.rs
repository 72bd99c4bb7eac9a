//! The queue into a shard, and the way to another core and back.

use crate::figure::Figure;
use crate::timing::{Effort, time};
use gpusher_sys::driver::Driver;
use gpusher_sys::mailbox::{Mailbox, Sender, mailbox};
use gpusher_sys::uring::{Uring, UringOptions};
use std::hint::{black_box, spin_loop};
use std::thread;
use std::time::Duration;

/// Ends the partner.
const STOP: u64 = u64::MAX;

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
    let mut figures = vec![awake, asleep];
    // An observer that counts runs one thread at a time: there is no other core.
    if let Effort::Timed { .. } = effort {
        figures.push(round_trip("to a thread that spins and back", effort, spin));
        figures.push(round_trip("to a thread that sleeps in its ring and back", effort, sleep));
    }
    figures
}

/// A message to a partner that answers each; this side spins.
fn round_trip(
    name: &str,
    effort: Effort,
    take: fn(&mut Mailbox<u64>, &mut Uring) -> u64,
) -> Figure {
    let (to, theirs) = mailbox::<u64>(16).expect("an eventfd");
    let (back, mut ours) = mailbox::<u64>(16).expect("an eventfd");
    thread::scope(|scope| {
        scope.spawn(|| answer(theirs, back, take));
        let figure = time(name, effort, || {
            to.send(black_box(1)).expect("there is room");
            while ours.pop().is_none() {
                spin_loop();
            }
        });
        to.send(STOP).expect("there is room");
        figure
    })
}

fn answer(
    mut mailbox: Mailbox<u64>,
    back: Sender<u64>,
    take: fn(&mut Mailbox<u64>, &mut Uring) -> u64,
) {
    let options = UringOptions { sq_entries: 8, cq_entries: 16, ..UringOptions::default() };
    let mut ring = Uring::new(&options, None, mailbox.waker()).expect("a ring");
    loop {
        match take(&mut mailbox, &mut ring) {
            STOP => return,
            message => back.send(message).expect("there is room"),
        }
    }
}

fn spin(mailbox: &mut Mailbox<u64>, _: &mut Uring) -> u64 {
    loop {
        match mailbox.pop() {
            Some(message) => return message,
            None => spin_loop(),
        }
    }
}

/// As a shard waits.
fn sleep(mailbox: &mut Mailbox<u64>, ring: &mut Uring) -> u64 {
    loop {
        if let Some(message) = mailbox.pop() {
            return message;
        }
        if mailbox.prepare_sleep() {
            ring.turn(Duration::from_secs(1), &mut |_| {});
        }
        mailbox.awake();
    }
}
