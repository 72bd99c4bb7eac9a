//! A shard's thread: bound to its core, its driver opened there, its end reported.

use crate::mail::{FromShard, ToLink, ToShard};
use crate::metrics::ShardCounts;
use crate::shard::{Shard, ShardConfig, SystemClock};
use gpusher_sys::Waker;
use gpusher_sys::affinity::pin_to;
use gpusher_sys::choose::{IoDriver, OpenError};
use gpusher_sys::driver::Driver;
use gpusher_sys::epoll::Epoll;
use gpusher_sys::mailbox::Mailbox;
use gpusher_sys::scheduling::set_slice;
use gpusher_sys::socket::Listener;
use gpusher_sys::uring::{Uring, UringOptions};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// All that one shard is made of.
pub(crate) struct Seat {
    pub config: ShardConfig,
    /// Core to run on.
    pub core: usize,
    pub driver: Arc<IoDriver>,
    pub ring: UringOptions,
    pub listener: Listener,
    pub mailbox: Mailbox<ToShard>,
    pub to_link: ToLink,
    pub counts: Arc<ShardCounts>,
}

/// Why a shard did not start.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// No driver.
    #[error(transparent)]
    Driver(#[from] OpenError),
    /// The thread ended before it said anything.
    #[error("the thread ended while it started")]
    Ended,
}

impl Seat {
    /// Starts the thread; returns when the shard turns.
    pub(crate) fn start(self) -> Result<JoinHandle<()>, SeatError> {
        let (started, starting) = mpsc::sync_channel(1);
        let name = format!("shard-{}", self.config.shard);
        let thread = thread::Builder::new().name(name).spawn(move || self.run(&started));
        let thread = thread.map_err(SeatError::Thread)?;
        starting.recv().map_err(|_| SeatError::Ended)??;
        Ok(thread)
    }

    fn run(self, started: &mpsc::SyncSender<Result<(), OpenError>>) {
        let (shard, core) = (self.config.shard, self.core);
        if let Err(error) = pin_to(core) {
            tracing::warn!(shard, core, %error, "cannot bind the shard to its core");
        }
        // A shard with much to do shares its core in few long turns; what started it may have asked for short ones.
        if let Err(error) = set_slice(None) {
            tracing::warn!(shard, %error, "the shard keeps the slice of the thread that started it");
        }
        let watch = EndWatch { shard, to_link: self.to_link.clone() };
        let ring = self.ring;
        if matches!(*self.driver, IoDriver::Uring(_)) {
            self.turn(started, |listener, waker| Uring::new(&ring, Some(listener), waker));
        } else {
            self.turn(started, |listener, waker| Epoll::new(Some(listener), waker));
        }
        drop(watch);
    }
}

impl Seat {
    /// Each driver has its own copy of the shard's code: no call through a table on the way of a byte.
    fn turn<D: Driver, E: Into<OpenError>>(
        self,
        started: &mpsc::SyncSender<Result<(), OpenError>>,
        open: impl FnOnce(Listener, Waker) -> Result<D, E>,
    ) {
        match open(self.listener, self.mailbox.waker()) {
            Err(error) => drop(started.send(Err(error.into()))),
            Ok(driver) => {
                let _ = started.send(Ok(()));
                let Self { config, mailbox, to_link, counts, .. } = self;
                Shard::new(config, driver, SystemClock, mailbox, to_link, counts).run();
            }
        }
    }
}

/// Reports a shard that has ended by a panic; one that was asked to end has said so itself.
struct EndWatch {
    shard: u32,
    to_link: ToLink,
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let mut last = vec![FromShard::Stopped(self.shard, Some("its thread panicked".into()))];
        while !self.to_link.try_send(&mut last) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
