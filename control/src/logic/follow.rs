//! Keeps a stream to each gateway that there is, as the set of them changes.

use super::connect::keep_connected;
use super::core::LinkKey;
use super::link::Socket;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use gpusher_discovery::Services;
use gpusher_proto::gateway::ToGateway;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::watch;
use tonic::metadata::{Ascii, MetadataValue};

/// Connects to the gateways of `services`, except the one at `own`, which is in this process; ends with the instance.
///
/// A gateway that leaves the set is not connected to again, but the stream to it stays for as long as it works: it may be the registry
/// that is wrong.
pub(super) async fn follow<A>(
    mut streams: Streams<A>,
    mut services: watch::Receiver<Services>,
    own: Option<String>,
) where
    A: FnMut() -> (LinkKey, ToGateway) + Clone + Send + 'static,
{
    let mut told = true;
    loop {
        let mut gateways = services.borrow_and_update().gateways.clone();
        gateways.retain(|address| Some(address) != own.as_ref());
        streams.want(gateways);
        tokio::select! {
            changed = services.changed(), if told => told = changed.is_ok(),
            Some(address) = streams.running.next() => {
                streams.wanted.remove(&address);
            }
            () = streams.socket.stop.cancelled() => return,
        }
    }
}

/// The streams that there are, and what it takes to begin one.
pub(super) struct Streams<A> {
    socket: Socket,
    /// What a gateway asks for as `authorization`.
    token: Option<MetadataValue<Ascii>>,
    /// How many gateways the queue's reading waits for at start.
    expected: Arc<AtomicUsize>,
    /// Those of them that are counted from here.
    counted: usize,
    /// Makes the first message of a stream.
    attach: A,
    /// By address; each gives its address back when it has ended.
    running: FuturesUnordered<BoxFuture<'static, String>>,
    wanted: FxHashMap<String, watch::Sender<bool>>,
}

impl<A> Streams<A>
where
    A: FnMut() -> (LinkKey, ToGateway) + Clone + Send + 'static,
{
    pub(super) fn new(
        socket: Socket,
        token: Option<MetadataValue<Ascii>>,
        expected: Arc<AtomicUsize>,
        attach: A,
    ) -> Self {
        let (running, wanted) = Default::default();
        Self { socket, token, expected, counted: 0, attach, running, wanted }
    }

    /// Begins the streams that are missing, and lets those to other gateways end.
    fn want(&mut self, gateways: BTreeSet<String>) {
        self.expected.fetch_add(gateways.len(), Relaxed);
        self.expected.fetch_sub(self.counted, Relaxed);
        self.counted = gateways.len();
        for (address, wanted) in &self.wanted {
            wanted.send_replace(gateways.contains(address));
        }
        for address in gateways {
            if !self.wanted.contains_key(&address) {
                self.begin(address);
            }
        }
    }

    fn begin(&mut self, address: String) {
        let (wanted, is_wanted) = watch::channel(true);
        self.wanted.insert(address.clone(), wanted);
        let (socket, token, attach) =
            (self.socket.clone(), self.token.clone(), self.attach.clone());
        let stream = keep_connected(socket, address.clone(), token, is_wanted, attach);
        let stream = tokio::spawn(stream);
        self.running.push(stream.map(|_| address).boxed());
    }
}
