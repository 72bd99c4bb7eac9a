//! The link between logic and the shards.
//!
//! One task, the hub, owns all state: commands of logic are split (`split`) into at most one mail per shard; what shards report is joined
//! (`collect`) and batched back. A logic in the same process attaches by channels; the gRPC server is an adapter over the same thing.
//!
//! # Invariants
//! - Commands for one connection reach its shard in the order logic sent them; events of one connection reach logic in theirs.
//! - Nothing is dropped between a logic that is attached and a shard: what finds no room waits, and credit or reading stops.
//! - Commands waiting never exceed the credit given; events waiting for a logic stop the reading from shards, and a logic that does not
//!   read for `stall` is cut off.
//! - Every logic has acknowledged a membership before one of several hears of anything that depends on it.

mod barrier;
mod collect;
mod commands;
mod events;
mod grpc;
mod hub;
mod joins;
mod load;
mod logic;
mod membership;
mod postbox;
mod recalled;
mod run;
mod split;
#[cfg(test)]
mod tests;

pub use grpc::LinkService;
pub use hub::{LinkParts, LinkStatus};
pub use postbox::Mailbox;

use gpusher_proto::gateway::gateway_server::GatewayServer;
use gpusher_proto::gateway::{Drain, FromGateway, ToGateway};
use hub::{Hub, Request};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Largest message on the stream, either way. Reports stay far below it unless clients may send larger frames.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Messages on the way in each direction of one stream; batches make more of them pointless.
const MESSAGES_IN_FLIGHT: usize = 16;

/// The running link. Dropping it ends the shards.
#[derive(Debug)]
pub struct Link {
    requests: mpsc::UnboundedSender<Request>,
    status: watch::Receiver<LinkStatus>,
    task: JoinHandle<()>,
    secret: Option<String>,
}

impl Link {
    /// Starts the link's task on the present tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(parts: LinkParts) -> Self {
        let (requests, incoming) = mpsc::unbounded_channel();
        let (status_sender, status) = watch::channel(LinkStatus::default());
        let secret = parts.config.secret.clone();
        let now = tokio::time::Instant::now().into_std();
        let (hub, from_shards) = Hub::new(parts, status_sender, now);
        let task = tokio::spawn(run::Runner::new(hub, from_shards, incoming).run());
        Self { requests, status, task, secret }
    }

    /// A link for a logic in this process: the messages themselves are passed on. The first one must be its `Attach`.
    pub fn attach(&self) -> LinkEnds {
        let (ends, pipe) = pair();
        // A link that has ended drops the pipe, and the logic finds its ends closed.
        let _ = self.requests.send(Request::Attach(pipe));
        ends
    }

    /// The service that offers the same over gRPC.
    pub fn server(&self) -> GatewayServer<LinkService> {
        LinkService::server(self.requests.clone(), self.secret.clone())
    }

    /// Asks clients to go, in all shards.
    pub fn drain(&self, drain: Drain) {
        let _ = self.requests.send(Request::Drain(drain));
    }

    /// Who is attached, and which shards have ended.
    pub fn status(&self) -> watch::Receiver<LinkStatus> {
        self.status.clone()
    }

    /// Ends the shards, then all links; returns when both have ended.
    pub async fn stop(self) {
        let _ = self.requests.send(Request::Stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the link's task failed");
        }
    }
}

/// A logic's ends of its stream. Dropping them ends the link.
#[derive(Debug)]
pub struct LinkEnds {
    /// Commands; the first message is the `Attach`.
    pub to: mpsc::Sender<ToGateway>,
    /// Events; closed when the link has ended.
    pub from: mpsc::Receiver<FromGateway>,
    /// Why it has ended.
    pub end: EndReason,
}

/// The gateway's ends of the same.
#[derive(Debug)]
struct LinkPipe {
    from_logic: mpsc::Receiver<ToGateway>,
    to_logic: mpsc::Sender<FromGateway>,
    end: EndReason,
}

/// Why a link ended; set before its channel closes.
#[derive(Debug, Clone, Default)]
pub struct EndReason(Arc<OnceLock<LinkEnd>>);

impl EndReason {
    /// The reason, once it has ended.
    pub fn get(&self) -> Option<LinkEnd> {
        self.0.get().copied()
    }

    /// Sets it, once.
    pub fn set(&self, why: LinkEnd) {
        let _ = self.0.set(why);
    }
}

/// Ends of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// The logic closed its stream.
    #[error("logic closed the stream")]
    Closed,
    /// A newer stream has the same name.
    #[error("replaced by a newer stream of the same name")]
    Replaced,
    /// Something was sent that may not be sent; do not repeat it.
    #[error("violation of the link's rules: {0}")]
    Violation(&'static str),
    /// Events were not read; attach again.
    #[error("events were not read in time")]
    Stalled,
    /// The gateway is going.
    #[error("the gateway is shutting down")]
    Shutdown,
}

/// Both ends of a new link.
fn pair() -> (LinkEnds, LinkPipe) {
    let (to, from_logic) = mpsc::channel(MESSAGES_IN_FLIGHT);
    let (to_logic, from) = mpsc::channel(MESSAGES_IN_FLIGHT);
    let end = EndReason::default();
    let ends = LinkEnds { to, from, end: end.clone() };
    (ends, LinkPipe { from_logic, to_logic, end })
}
