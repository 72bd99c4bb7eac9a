//! The message role: store, routes and queue for the other roles, over gRPC (port 7780).
//!
//! The services offer any backend; `store::remote`, `routes::remote` and `queue::remote` are backends that call them. So what a
//! process holds itself and what it asks another for are the same to its callers.

pub mod connection;
pub mod purge;
mod queue;
mod replicas;
mod routes;
mod secret;
mod store;

pub use self::connection::{Connection, ConnectionOptions};

use self::secret::CheckSecret;
use crate::auth::Secret;
use crate::error::{Code, Error, Result};
use crate::queue::Queue;
use crate::routes::Routes;
use crate::store::Store;
use gpusher_proto::data::queue_server::QueueServer;
use gpusher_proto::data::routes_server::RoutesServer;
use gpusher_proto::data::store_server::StoreServer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Largest message either side takes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Batches are cut into calls of about this size, so that one does not hold the connection up for the others.
const CALL_BYTES: usize = 4 << 20;
/// Calls under way on one connection; more wait with their caller.
const CALLS_PER_CONNECTION_MAX: u32 = 1024;
/// A peer that does not answer a ping is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls under way when the server is told to stop may take this long.
const GRACE: Duration = Duration::from_secs(5);

/// What the role offers.
#[derive(Clone)]
pub struct Backends {
    /// Users, apps, logs.
    pub store: Arc<dyn Store>,
    /// Who is connected where.
    pub routes: Arc<dyn Routes>,
    /// Accepted jobs.
    pub queue: Arc<dyn Queue>,
}

/// The role's gRPC server, listening.
pub struct MessageServer {
    incoming: TcpIncoming,
    local_addr: SocketAddr,
    secret: Option<Secret>,
}

impl MessageServer {
    /// Listens. Callers have to present the secret, if there is one.
    ///
    /// # Errors
    /// `invalid` if the address is not on loopback and there is no secret: whoever reaches these services may read and
    /// change everything. `unavailable` if the address cannot be listened on.
    pub fn bind(addr: SocketAddr, secret: Option<Secret>) -> Result<Self> {
        if secret.is_none() && !addr.ip().is_loopback() {
            let text = format!("listening on {addr}, which is not loopback, needs a shared secret");
            return Err(Error::new(Code::Invalid, text));
        }
        let unusable = |error: &dyn std::fmt::Display| {
            Error::new(Code::Unavailable, format!("cannot listen on {addr}: {error}"))
        };
        let incoming = TcpIncoming::bind(addr).map_err(|error| unusable(&error))?;
        let local_addr = incoming.local_addr().map_err(|error| unusable(&error))?;
        Ok(Self { incoming: incoming.with_nodelay(Some(true)), local_addr, secret })
    }

    /// Where it listens: the port chosen when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until told to stop; calls under way are finished, consumers are let go.
    pub async fn serve(self, backends: Backends, stop: CancellationToken) -> Result<()> {
        let store = StoreServer::new(store::StoreService(backends.store))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let routes = RoutesServer::new(routes::RoutesService(backends.routes))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let queue = queue::QueueService { queue: backends.queue, stop: stop.clone() };
        let queue = QueueServer::new(queue)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let serving = Server::builder()
            .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .layer(InterceptorLayer::new(CheckSecret::new(self.secret)))
            .add_service(store)
            .add_service(routes)
            .add_service(queue)
            .serve_with_incoming_shutdown(self.incoming, stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving => served.map_err(|error| {
                Error::new(Code::Unavailable, format!("the message service failed: {error}"))
            }),
            () = overdue => Ok(()),
        }
    }
}

/// Cuts a batch into calls. An item that is larger than a call goes alone.
pub(crate) fn calls<T: prost::Message>(items: Vec<T>) -> Vec<Vec<T>> {
    shortened_calls(items, |_, _| None)
}

/// The same where an item need not repeat what the one before it in its call says: `shorten` leaves that out.
pub(crate) fn shortened_calls<T: prost::Message>(
    items: Vec<T>,
    shorten: impl Fn(&T, &T) -> Option<T>,
) -> Vec<Vec<T>> {
    let mut calls = Vec::new();
    let mut call: Vec<T> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let short = call.last().and_then(|before| shorten(before, &item));
        if let Some(short) = short.filter(|short| bytes + short.encoded_len() <= CALL_BYTES) {
            bytes += short.encoded_len();
            call.push(short);
            continue;
        }
        let size = item.encoded_len();
        if bytes + size > CALL_BYTES && !call.is_empty() {
            calls.push(std::mem::take(&mut call));
            bytes = 0;
        }
        bytes += size;
        call.push(item);
    }
    calls.push(call);
    calls
}

#[cfg(test)]
pub(crate) mod tests;
