//! Services in etcd: a key each, under a lease that is kept alive; changes come as they happen.

use crate::error::DiscoveryError;
use crate::registry::Registry;
use crate::services::Service;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status, Streaming};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod api {
    tonic::include_proto!("etcdserverpb");
}

use api::kv_client::KvClient;
use api::lease_client::LeaseClient;
use api::watch_client::WatchClient;
use api::watch_request::RequestUnion;
use api::*;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// A server that has gone without a word is noticed within twice this time.
const PING_EVERY: Duration = Duration::from_secs(5);
/// All is read anew this often, should word of a change be lost.
const READ_EVERY: Duration = Duration::from_secs(60);
/// Renewals within one lease.
const RENEWALS: u32 = 3;

pub(crate) struct InEtcd {
    channel: Channel,
    addresses: String,
    prefix: String,
    lease: Duration,
}

impl InEtcd {
    /// Connects when it is first called, to any of the addresses (host:port). Must be called within a tokio runtime.
    pub(crate) fn new(
        addresses: &[String],
        prefix: &str,
        lease: Duration,
    ) -> Result<Self, DiscoveryError> {
        let endpoint = |address: &String| {
            let endpoint = Endpoint::from_shared(format!("http://{address}"));
            endpoint.map(|endpoint| {
                endpoint
                    .connect_timeout(CONNECT_TIMEOUT)
                    .http2_keep_alive_interval(PING_EVERY)
                    .keep_alive_timeout(PING_EVERY)
                    .keep_alive_while_idle(true)
            })
        };
        let endpoints: Vec<Endpoint> = addresses
            .iter()
            .map(endpoint)
            .collect::<Result<_, _>>()
            .map_err(|error| DiscoveryError::Invalid(format!("the URL of etcd: {error}")))?;
        Ok(Self {
            channel: Channel::balance_list(endpoints.into_iter()),
            addresses: addresses.join(","),
            prefix: format!("{prefix}/"),
            lease,
        })
    }

    fn key(&self, service: &Service) -> Vec<u8> {
        format!("{}{service}", self.prefix).into_bytes()
    }

    /// The first key after all of ours.
    fn range_end(&self) -> Vec<u8> {
        let mut end = self.prefix.clone().into_bytes();
        // It ends with a slash.
        end.pop();
        end.push(b'/' + 1);
        end
    }

    async fn call<T>(
        &self,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, DiscoveryError> {
        match timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.unavailable(&why(&status))),
            Err(_) => Err(self.unavailable("no answer in time")),
        }
    }

    fn unavailable(&self, why: &str) -> DiscoveryError {
        DiscoveryError::Unavailable(format!("etcd at {}: {why}", self.addresses))
    }

    /// What is registered, and the revision of that.
    async fn read(&self) -> Result<(BTreeSet<Service>, i64), DiscoveryError> {
        let (key, range_end) = (self.prefix.clone().into_bytes(), self.range_end());
        let request = RangeRequest { key, range_end, keys_only: true };
        let mut client = KvClient::new(self.channel.clone());
        let answer = self.call(client.range(request)).await?;
        let service = |pair: KeyValue| {
            let path = std::str::from_utf8(&pair.key).ok()?.strip_prefix(&self.prefix)?;
            Service::from_path(path)
        };
        let revision = answer.header.map_or(0, |header| header.revision);
        Ok((answer.kvs.into_iter().filter_map(service).collect(), revision))
    }

    /// Registers, and keeps the lease alive for as long as that works.
    async fn try_keep(&self, service: &Service) -> Result<Infallible, DiscoveryError> {
        let mut leases = LeaseClient::new(self.channel.clone());
        let ttl = i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX).max(1);
        let granted = self.call(leases.lease_grant(LeaseGrantRequest { ttl, id: 0 })).await?;
        if !granted.error.is_empty() {
            return Err(self.unavailable(&granted.error));
        }
        let put = PutRequest { key: self.key(service), value: Vec::new(), lease: granted.id };
        self.call(KvClient::new(self.channel.clone()).put(put)).await?;
        let (renewals, sent) = mpsc::channel(1);
        let ping = LeaseKeepAliveRequest { id: granted.id };
        let _ = renewals.try_send(ping);
        let mut answers = self.call(leases.lease_keep_alive(ReceiverStream::new(sent))).await?;
        loop {
            let answer = timeout(CALL_TIMEOUT, answers.message()).await;
            match answer.map_err(|_| self.unavailable("no answer in time"))? {
                Ok(Some(LeaseKeepAliveResponse { ttl: 1.., .. })) => {}
                Ok(Some(_)) => return Err(self.unavailable("the lease has run out")),
                Ok(None) => return Err(self.unavailable("the lease's stream ended")),
                Err(status) => return Err(self.unavailable(status.message())),
            }
            sleep(self.lease / RENEWALS).await;
            if renewals.try_send(ping).is_err() {
                return Err(self.unavailable("the lease's stream does not take renewals"));
            }
        }
    }

    /// Word of changes after a revision; and the way to end it.
    async fn changes(
        &self,
        revision: i64,
    ) -> Result<(Streaming<WatchResponse>, mpsc::Sender<WatchRequest>), DiscoveryError> {
        let create = WatchCreateRequest {
            key: self.prefix.clone().into_bytes(),
            range_end: self.range_end(),
            start_revision: revision + 1,
            progress_notify: false,
        };
        let (requests, sent) = mpsc::channel(1);
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let _ = requests.try_send(request);
        let mut client = WatchClient::new(self.channel.clone());
        let changes = self.call(client.watch(ReceiverStream::new(sent))).await?;
        Ok((changes, requests))
    }

    /// Reads, and waits for the next change, a cancelled watch, or the time to read again.
    async fn read_and_wait(
        &self,
        tell: &watch::Sender<Option<BTreeSet<Service>>>,
    ) -> Result<(), DiscoveryError> {
        let (services, revision) = self.read().await?;
        tell.send_replace(Some(services));
        let (mut changes, _requests) = self.changes(revision).await?;
        let read_again = sleep(READ_EVERY);
        tokio::pin!(read_again);
        loop {
            let change = tokio::select! {
                change = changes.message() => change,
                () = &mut read_again => return Ok(()),
            };
            match change {
                // The revision is no longer kept.
                Ok(Some(change)) if change.compact_revision > 0 => return Ok(()),
                Ok(Some(change)) if change.canceled => {
                    return Err(self.unavailable(&change.cancel_reason));
                }
                Ok(Some(change)) if change.events.is_empty() => continue,
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.unavailable("the watch ended")),
                Err(status) => return Err(self.unavailable(status.message())),
            }
            // There are few keys: reading them all is simpler than counting with the events.
            let (services, _) = self.read().await?;
            tell.send_replace(Some(services));
        }
    }
}

#[async_trait]
impl Registry for InEtcd {
    async fn keep(&self, service: &Service) -> DiscoveryError {
        let Err(error) = self.try_keep(service).await;
        error
    }

    async fn forget(&self, service: &Service) -> Result<(), DiscoveryError> {
        let request = DeleteRangeRequest { key: self.key(service) };
        self.call(KvClient::new(self.channel.clone()).delete_range(request)).await.map(drop)
    }

    async fn list(&self) -> Result<BTreeSet<Service>, DiscoveryError> {
        self.read().await.map(|(services, _)| services)
    }

    async fn watch(&self, tell: &watch::Sender<Option<BTreeSet<Service>>>) -> DiscoveryError {
        loop {
            if let Err(error) = self.read_and_wait(tell).await {
                return error;
            }
        }
    }
}

/// The server's words; or, where there was no answer, the first cause of that.
fn why(status: &Status) -> String {
    let Some(mut cause) = status.source() else { return status.message().to_owned() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
