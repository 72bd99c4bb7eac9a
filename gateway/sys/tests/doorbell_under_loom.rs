//! The mailbox's handshake in every order in which two processors may see it: an owner that sleeps whenever it may, senders that wake it only when they
//! must. A lost wake-up leaves the owner asleep with messages when all senders have gone.
//!
//! The queue here promises less than the real one: a message is one relaxed store, so that nothing but the handshake orders anything. The eventfd is a
//! counter: a write ends the owner's wait, the present or the next, as it does when it is watched edge-triggered.

#[path = "../src/doorbell.rs"]
mod doorbell;

/// What the handshake is made of, by the model checker.
mod primitive {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

use doorbell::Doorbell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use primitive::{AtomicBool, Ordering, fence};

/// A handshake: the real one, or one with a fault to be found.
trait Handshake: Send + Sync + 'static {
    fn new() -> Self;
    fn must_ring(&self) -> bool;
    fn may_sleep(&self, is_empty: impl FnOnce() -> bool) -> bool;
    fn awake(&self);
}

impl Handshake for Doorbell {
    fn new() -> Self {
        Self::new()
    }

    fn must_ring(&self) -> bool {
        self.must_ring()
    }

    fn may_sleep(&self, is_empty: impl FnOnce() -> bool) -> bool {
        self.may_sleep(is_empty)
    }

    fn awake(&self) {
        self.awake();
    }
}

struct Shared<H> {
    handshake: H,
    /// Writes to the eventfd.
    rings: AtomicUsize,
    /// Messages put in, by sender.
    sent: Vec<AtomicUsize>,
    /// Senders that have gone.
    gone: AtomicUsize,
}

impl<H: Handshake> Shared<H> {
    fn send(&self, sender: usize, message: usize) {
        self.sent[sender].store(message, Ordering::Relaxed);
        if self.handshake.must_ring() {
            self.rings.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Sleeps until it rings, more often than it was `heard`.
    fn sleep(&self, heard: &mut usize) {
        loop {
            let nobody_is_left = self.gone.load(Ordering::Acquire) == self.sent.len();
            let rings = self.rings.load(Ordering::Acquire);
            if rings != std::mem::replace(heard, rings) {
                return;
            }
            assert!(!nobody_is_left, "a wake-up is lost");
            thread::yield_now();
        }
    }
}

/// `senders` send so many messages each to an owner that takes all of them.
fn deliver<H: Handshake>(senders: usize, each: usize) {
    let shared = Arc::new(Shared {
        handshake: H::new(),
        rings: AtomicUsize::new(0),
        sent: (0..senders).map(|_| AtomicUsize::new(0)).collect(),
        gone: AtomicUsize::new(0),
    });
    for sender in 0..senders {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            (1..=each).for_each(|message| shared.send(sender, message));
            shared.gone.fetch_add(1, Ordering::AcqRel);
        });
    }
    let (mut taken, mut heard) = (vec![0; senders], 0);
    while taken.iter().sum::<usize>() < senders * each {
        let latest = |sender: usize| shared.sent[sender].load(Ordering::Relaxed);
        let is_empty = || (0..senders).all(|sender| latest(sender) == taken[sender]);
        if shared.handshake.may_sleep(is_empty) {
            shared.sleep(&mut heard);
            shared.handshake.awake();
        }
        (0..senders).for_each(|sender| taken[sender] = latest(sender));
    }
}

/// Every order, or those with so many preemptions; LOOM_MAX_PREEMPTIONS in the environment asks for more.
fn check(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.check(model);
}

#[test]
fn one_sender_is_always_heard() {
    check(Some(4), || deliver::<Doorbell>(1, 3));
}

#[test]
fn two_senders_are_always_heard() {
    check(Some(2), || deliver::<Doorbell>(2, 2));
}

/// Without the fences, each side may look before the other sees what it has done.
struct Unfenced(AtomicBool);

impl Handshake for Unfenced {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn must_ring(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }

    fn may_sleep(&self, is_empty: impl FnOnce() -> bool) -> bool {
        self.0.store(true, Ordering::Relaxed);
        is_empty()
    }

    fn awake(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// An owner that looks first and then says that it sleeps.
struct Hasty(AtomicBool);

impl Handshake for Hasty {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.swap(false, Ordering::Relaxed)
    }

    fn may_sleep(&self, is_empty: impl FnOnce() -> bool) -> bool {
        let may = is_empty();
        fence(Ordering::SeqCst);
        self.0.store(may, Ordering::Relaxed);
        may
    }

    fn awake(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The model is awake: it finds these.
#[test]
#[should_panic(expected = "a wake-up is lost")]
fn without_fences_a_wake_up_is_lost() {
    check(None, || deliver::<Unfenced>(1, 1));
}

#[test]
#[should_panic(expected = "a wake-up is lost")]
fn without_a_second_look_a_wake_up_is_lost() {
    check(None, || deliver::<Hasty>(1, 1));
}
