//! The rings of one thread, used as one.
//!
//! A ring's own descriptor table holds as many sockets as RLIMIT_NOFILE allows a process; a thread
//! that is to hold more has several rings. A socket stays in the ring that accepted it, so what is
//! asked for one socket keeps its order.
//!
//! # Waiting
//! The thread waits on the first ring. Every other one rings a bell, an eventfd that the first ring
//! watches, when it gets work after having had none. Before a wait the others were looked at and had
//! none, so whatever comes to them from then on ends the wait.

use super::error::UringError;
use super::options::{Descriptors, UringOptions};
use super::place::RINGS_MAX;
use super::ring::{Collected, Completion, Ring, RingCounters, RingFlags};
use crate::Waker;
use io_uring::squeue;
use std::time::Duration;

/// See the module.
pub(super) struct Rings {
    rings: Vec<Ring>,
    /// None with one ring.
    bell: Option<Waker>,
    collected: Collected,
}

impl Rings {
    /// Makes all rings with their tables.
    pub(super) fn new(options: &UringOptions) -> Result<Self, UringError> {
        assert!((1..=RINGS_MAX).contains(&options.rings), "so many rings cannot be numbered");
        assert!(options.rings == 1 || options.descriptors != Descriptors::Plain);
        let bell = (options.rings > 1).then(Waker::new).transpose();
        let bell =
            bell.map_err(|source| UringError::Other { doing: "making an eventfd", source })?;
        let mut rings = Vec::with_capacity(options.rings as usize);
        for number in 0..options.rings {
            let ring = Ring::new(options, number)?;
            let submitter = ring.io_uring().submitter();
            // SHUTDOWN is always handed to the kernel's workers; it does not block, so two are
            // plenty where thousands are asked for.
            let limited = submitter.register_iowq_max_workers(&mut [2, 2]);
            limited.map_err(|_| UringError::KernelTooOld { missing: "limit of workers" })?;
            if let Descriptors::Direct { table } = options.descriptors {
                let registered = submitter.register_files_sparse(table);
                registered.map_err(|source| UringError::from_table(table, source))?;
            }
            if number > 0
                && let Some(bell) = &bell
            {
                let registered = submitter.register_eventfd(bell.raw());
                registered.map_err(|_| UringError::KernelTooOld { missing: "eventfd" })?;
            }
            rings.push(ring);
        }
        Ok(Self { rings, bell, collected: Collected::default() })
    }

    /// What the first ring must watch, if there are others.
    pub(super) fn bell(&self) -> Option<&Waker> {
        self.bell.as_ref()
    }

    /// How much of the wanted set-up the kernel took.
    pub(super) fn flags(&self) -> RingFlags {
        self.rings[0].flags
    }

    pub(super) fn counters(&self) -> &RingCounters {
        &self.collected.counters
    }

    pub(super) fn is_full(&mut self, ring: u32) -> bool {
        self.rings[ring as usize].is_full()
    }

    /// Whether there is nothing to submit, to run or to report.
    pub(super) fn is_idle(&mut self) -> bool {
        self.collected.completions.is_empty() && self.rings.iter_mut().all(Ring::is_idle)
    }

    /// Queues an operation.
    ///
    /// # Safety
    /// As [`Ring::push`].
    pub(super) unsafe fn push(&mut self, ring: u32, entry: &squeue::Entry) {
        // SAFETY: the caller promises it.
        unsafe { self.rings[ring as usize].push(entry) };
        self.collected.counters.submissions += 1;
    }

    /// Submits everything and collects what has completed; waits for the first completion if there
    /// is none, at most `timeout`.
    pub(super) fn enter(&mut self, timeout: Duration) {
        let Self { rings, collected, .. } = self;
        let (first, others) = rings.split_first_mut().expect("there is a first ring");
        for ring in others.iter_mut().filter_map(|ring| (!ring.is_idle()).then_some(ring)) {
            ring.enter(Duration::ZERO, collected);
        }
        let timeout = if collected.completions.is_empty() { timeout } else { Duration::ZERO };
        if !timeout.is_zero() || others.is_empty() || !first.is_idle() {
            first.enter(timeout, collected);
        }
    }

    /// One of them, and where its completions go.
    pub(super) fn one(&mut self, ring: u32) -> (&mut Ring, &mut Collected) {
        (&mut self.rings[ring as usize], &mut self.collected)
    }

    /// How many completions have been collected and not taken.
    pub(super) fn collected(&self) -> usize {
        self.collected.completions.len()
    }

    /// Those collected after the first `known` ones.
    pub(super) fn collected_after(&self, known: usize) -> impl Iterator<Item = Completion> {
        self.collected.completions.range(known..).copied()
    }

    pub(super) fn take(&mut self) -> Option<Completion> {
        self.collected.completions.pop_front()
    }

    /// For later.
    pub(super) fn put_back(&mut self, completion: Completion) {
        self.collected.completions.push_back(completion);
    }
}
