//! Several processes with the message role before the same servers: calls go to one of them until it fails, then to the next.
//!
//! Which one is first is left to chance, so that many callers are dealt out. A call that failed is not made again here: whoever made it knows
//! whether it may be.

use rand::RngExt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::{Channel, Error};

/// A channel to one of several peers.
pub(crate) struct Replicas {
    shared: Arc<Shared>,
    /// Where the next call goes, if that has been settled.
    next: Option<(usize, Channel)>,
}

struct Shared {
    peers: Vec<Peer>,
    current: AtomicUsize,
}

/// One process with the role.
pub(super) struct Peer {
    pub(super) url: String,
    pub(super) channel: Channel,
}

impl Replicas {
    /// Peers that answer the same.
    pub(super) fn new(peers: Vec<Peer>) -> Self {
        assert!(!peers.is_empty(), "somebody has to be called");
        let current = AtomicUsize::new(rand::rng().random_range(0..peers.len()));
        Self { shared: Arc::new(Shared { peers, current }), next: None }
    }
}

impl Clone for Replicas {
    /// What was settled for the next call is its caller's alone.
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), next: None }
    }
}

impl Shared {
    fn pick(&self) -> (usize, Channel) {
        let index = self.current.load(Relaxed);
        (index, self.peers[index].channel.clone())
    }

    /// From now on calls go to the next one; of calls that fail together, the first moves them.
    fn leave(&self, index: usize, error: &Error) {
        let next = (index + 1) % self.peers.len();
        if next != index && self.current.compare_exchange(index, next, Relaxed, Relaxed).is_ok() {
            let (from, to) = (&self.peers[index].url, &self.peers[next].url);
            tracing::warn!(%error, %from, %to, "a message role does not answer: another is asked");
        }
    }
}

impl Service<http::Request<Body>> for Replicas {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let (index, channel) = self.next.get_or_insert_with(|| self.shared.pick());
        let ready = ready!(channel.poll_ready(context));
        if let Err(error) = &ready {
            self.shared.leave(*index, error);
            self.next = None;
        }
        Poll::Ready(ready)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (index, mut channel) = self.next.take().expect("a service is called when it is ready");
        let shared = self.shared.clone();
        let answer = channel.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Err(error) = &answer {
                shared.leave(index, error);
            }
            answer
        })
    }
}
