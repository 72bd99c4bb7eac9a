//! A driver that its shard and a bare broadcast use in turns.

use bytes::Bytes;
use gpusher_sys::driver::{Driver, Event, FrameKey, Socket};
use gpusher_sys::uring::Uring;
use std::cell::{RefCell, RefMut};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// See the module. Each call costs a look at a flag more than the driver alone: at the shard's expense.
#[derive(Debug, Clone)]
pub(super) struct Shared(Rc<RefCell<Uring>>);

impl Shared {
    pub(super) fn new(driver: Uring) -> Self {
        Self(Rc::new(RefCell::new(driver)))
    }

    /// While the shard does not turn.
    pub(super) fn bare(&self) -> RefMut<'_, Uring> {
        self.0.borrow_mut()
    }
}

impl Driver for Shared {
    fn accept(&mut self) {
        self.bare().accept();
    }

    fn stop_accepting(&mut self) {
        self.bare().stop_accepting();
    }

    fn open(&mut self, socket: Socket, slot: u32) {
        self.bare().open(socket, slot);
    }

    fn discard(&mut self, socket: Socket) {
        self.bare().discard(socket);
    }

    fn connect(
        &mut self,
        slot: u32,
        source: Option<SocketAddrV4>,
        to: SocketAddrV4,
    ) -> std::io::Result<()> {
        self.bare().connect(slot, source, to)
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        self.bare().lend(bytes)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        self.bare().send(slot, frame);
    }

    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        self.bare().flush(slot, pieces);
    }

    fn await_writable(&mut self, slot: u32) {
        self.bare().await_writable(slot);
    }

    fn set_reading(&mut self, slot: u32, on: bool) {
        self.bare().set_reading(slot, on);
    }

    fn close(&mut self, slot: u32) {
        self.bare().close(slot);
    }

    fn turn(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        self.bare().turn(timeout, sink);
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        self.0.borrow().counters()
    }
}
