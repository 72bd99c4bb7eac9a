//! A connection to what a URL names.

use crate::url::RedisUrl;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, Value,
};
use std::time::Duration;

/// A server that takes longer to let us in is away.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A command that takes longer has failed. Ours take a millisecond; the rest is for a busy host.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often Cluster's client follows a slot that has moved, or waits for a failover.
const CLUSTER_RETRIES: u32 = 3;
const CLUSTER_WAIT_MAX_MS: u64 = 100;

/// Carries many calls at a time.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To the server, or to Sentinel's master.
    Server(MultiplexedConnection),
    /// To all masters.
    Cluster(Box<ClusterConnection>),
}

impl Connection {
    pub(crate) async fn open(url: &RedisUrl) -> RedisResult<Self> {
        match url {
            RedisUrl::Server { .. } => {
                let [node] = url.nodes() else { return Err(no_host()) };
                let client = Client::open(info(node, url)?)?;
                let bounds = bounds();
                let connection = client.get_multiplexed_async_connection_with_config(&bounds);
                connection.await.map(Self::Server)
            }
            RedisUrl::Sentinel { service, .. } => {
                let mut client = sentinels(url, service)?.build()?;
                client.get_async_connection_with_config(&bounds()).await.map(Self::Server)
            }
            RedisUrl::Cluster { .. } => {
                let nodes: RedisResult<Vec<_>> =
                    url.nodes().iter().map(|node| info(node, url)).collect();
                let client = ClusterClientBuilder::new(nodes?)
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    .retries(CLUSTER_RETRIES)
                    .max_retry_wait(CLUSTER_WAIT_MAX_MS)
                    .build()?;
                let connection = client.get_async_connection().await?;
                Ok(Self::Cluster(Box::new(connection)))
            }
        }
    }

    pub(crate) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Server(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }
}

fn bounds() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

fn no_host() -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, "one host and port").into()
}

fn info((host, port): &(String, u16), url: &RedisUrl) -> RedisResult<ConnectionInfo> {
    let access = url.access();
    let mut settings = RedisConnectionInfo::default().set_db(access.database);
    if let Some(user) = &access.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &access.password {
        settings = settings.set_password(password);
    }
    let address = ConnectionAddr::Tcp(host.clone(), *port);
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}

fn sentinels(url: &RedisUrl, service: &str) -> RedisResult<SentinelClientBuilder> {
    let nodes = url.nodes().iter().map(|(host, port)| ConnectionAddr::Tcp(host.clone(), *port));
    let access = url.access();
    let mut builder = SentinelClientBuilder::new(nodes, service, SentinelServerType::Master)?
        .set_client_to_redis_db(access.database);
    if let Some(user) = &access.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &access.password {
        builder = builder.set_client_to_redis_password(password);
    }
    Ok(builder)
}
