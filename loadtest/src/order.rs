//! What a thread of connections is told while it runs.

use crate::measure::Series;
use gpusher_sys::Waker;
use std::sync::mpsc::{Receiver, Sender, channel};

/// To one thread; rates and counts are its own share.
#[derive(Debug)]
pub enum Order {
    /// Logins begin.
    LogIn,
    /// Connections end and come back, one after the other.
    Churn {
        /// How many a second.
        per_s: f64,
        /// How many in all.
        count: u64,
    },
    /// All connections end, and come back at once; from here on the thread steps back behind others on its core.
    Leave,
    /// The first so many connections stop reading.
    Mute(u32),
    /// Muted connections are closed and come back.
    Unmute,
    /// Clients publish to the application.
    Publish {
        /// Written into each message.
        series: u32,
        /// Number of the thread's first message.
        first: u32,
        /// How many a second.
        per_s: f64,
        /// How many.
        count: u64,
        /// Bytes of each, at least.
        size: usize,
    },
    /// From here on, connections that end are made again, after a pause, or no longer; those that have ended are made again in any case.
    ComeBack(bool),
    /// What was seen of a series is wanted. What comes of it later is late.
    Collect(u32, Sender<Series>),
    /// The end.
    Stop,
}

/// Gives a thread orders.
#[derive(Debug, Clone)]
pub struct Commander {
    orders: Sender<Order>,
    waker: Waker,
}

/// The waker is for the thread's driver.
pub fn commander(waker: Waker) -> (Commander, Receiver<Order>) {
    let (orders, receiver) = channel();
    (Commander { orders, waker }, receiver)
}

impl Commander {
    /// A thread that has ended hears nothing, which shows when it is joined.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        self.waker.wake();
    }
}
