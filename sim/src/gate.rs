//! Where calls to the data layer wait until the simulation lets them on: before they have an effect, and before their caller hears of it. So calls
//! overtake each other, and a caller that dies in between leaves half of what it did.

use crate::random::Random;
use gpusher_control::error::{Code, Error};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// All calls under way.
#[derive(Debug, Clone, Default)]
pub struct Gates(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// None: everything passes at once.
    random: Option<Random>,
    next: u64,
    waiting: Vec<(u64, &'static str)>,
    open: BTreeSet<u64>,
    fail_permille: u64,
    repeat_permille: u64,
}

impl Gates {
    /// Gates that hold every call until [`Gates::open_one`].
    pub fn closed(random: Random) -> Self {
        Self(Arc::new(Mutex::new(Inner { random: Some(random), ..Inner::default() })))
    }

    /// How often a call that may fail for good does, and how often one is made twice because its answer was lost; in a thousand.
    pub fn set_faults(&self, fail_permille: u64, repeat_permille: u64) {
        let mut inner = self.0.lock();
        inner.fail_permille = fail_permille;
        inner.repeat_permille = repeat_permille;
    }

    /// Waits to be let on.
    pub(crate) fn pass(&self, call: &'static str) -> Pass {
        Pass { gates: self.clone(), call, ticket: None }
    }

    /// Whether this call fails: its caller gives up at once, since the error is not one that goes away.
    pub(crate) fn fails(&self, call: &'static str) -> Result<(), Error> {
        let mut inner = self.0.lock();
        let share = inner.fail_permille;
        match inner.random.as_mut().is_some_and(|random| random.permille(share)) {
            true => Err(Error::new(Code::Internal, format!("{call} fails in the simulation"))),
            false => Ok(()),
        }
    }

    /// Whether the call is made again although it had its effect.
    pub(crate) fn repeats(&self) -> bool {
        let mut inner = self.0.lock();
        let share = inner.repeat_permille;
        inner.random.as_mut().is_some_and(|random| random.permille(share))
    }

    /// Lets one of the waiting calls on; its name.
    pub fn open_one(&self, random: &mut Random) -> Option<&'static str> {
        let mut inner = self.0.lock();
        if inner.waiting.is_empty() {
            return None;
        }
        let index = random.index(inner.waiting.len());
        let (ticket, call) = inner.waiting.remove(index);
        inner.open.insert(ticket);
        Some(call)
    }

    /// Calls that wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

/// A call at a gate.
#[derive(Debug)]
pub(crate) struct Pass {
    gates: Gates,
    call: &'static str,
    ticket: Option<u64>,
}

impl Future for Pass {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let gates = self.gates.clone();
        let mut inner = gates.0.lock();
        if inner.random.is_none() {
            return Poll::Ready(());
        }
        match self.ticket {
            Some(ticket) if inner.open.remove(&ticket) => {
                self.ticket = None;
                Poll::Ready(())
            }
            Some(_) => Poll::Pending,
            None => {
                let ticket = inner.next;
                inner.next += 1;
                inner.waiting.push((ticket, self.call));
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut inner = self.gates.0.lock();
            inner.waiting.retain(|&(waiting, _)| waiting != ticket);
            inner.open.remove(&ticket);
        }
    }
}
