//! The way to a message role in another process.

use super::replicas::{Peer, Replicas};
use super::secret::PresentSecret;
use super::{PING_EVERY, PING_TIMEOUT};
use crate::auth::Secret;
use crate::error::{Code, Error, Result};
use std::error::Error as _;
use std::time::Duration;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

/// What may be on its way to us, on a connection and in one answer. The HTTP/2 library cuts a connection off that holds many small answers
/// unread, by 256 bytes each against half of the first: room for as many as there can be calls, many times over.
const WINDOW_BYTES: u32 = 16 << 20;
const STREAM_WINDOW_BYTES: u32 = 4 << 20;

/// A channel that presents the secret.
pub(crate) type Authorized = InterceptedService<Replicas, PresentSecret>;

/// Where the message role is, and how long to wait for it.
#[derive(Clone)]
pub struct ConnectionOptions {
    /// Like `http://192.0.2.1:7780`; several: processes before the same servers, of which one is asked at a time.
    pub urls: Vec<String>,
    /// What that role was given, if anything.
    pub secret: Option<Secret>,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// For a call to be answered.
    pub call_timeout: Duration,
}

impl ConnectionOptions {
    /// No secret; a second to connect, ten for an answer.
    pub fn new(urls: Vec<String>) -> Self {
        Self {
            urls,
            secret: None,
            connect_timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(10),
        }
    }
}

/// A connection that is made when it is needed, and again when it broke: start order does not matter.
#[derive(Clone)]
pub struct Connection {
    channel: Authorized,
}

impl Connection {
    /// Prepares the connection; nothing is sent before the first call.
    ///
    /// # Errors
    /// `invalid` if the URL or the secret cannot be one.
    pub fn new(options: ConnectionOptions) -> Result<Self> {
        let secret = PresentSecret::new(options.secret.as_ref())?;
        let peers = options.urls.iter().map(|url| peer(url, &options));
        let channel = Replicas::new(peers.collect::<Result<_>>()?);
        Ok(Self { channel: InterceptedService::new(channel, secret) })
    }

    pub(crate) fn channel(&self) -> Authorized {
        self.channel.clone()
    }
}

fn peer(url: &str, options: &ConnectionOptions) -> Result<Peer> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| Error::new(Code::Invalid, format!("{url:?} is no address: {error}")))?;
    let channel = endpoint
        .connect_timeout(options.connect_timeout)
        .timeout(options.call_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .connect_lazy();
    Ok(Peer { url: url.to_owned(), channel })
}

/// What a failed call means: the other side's error, or that it was not reached.
pub(crate) fn failure(status: Status) -> Error {
    // Only a status that was made here, for want of an answer, has a source.
    let Some(mut cause) = status.source() else { return status.into() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Error::new(Code::Unavailable, format!("the message service does not answer: {cause}"))
}

/// Calls a method of a generated client, by a copy of it as these are meant to be used.
macro_rules! call {
    ($client:expr, $method:ident, $request:expr) => {
        $client
            .clone()
            .$method($request)
            .await
            .map(tonic::Response::into_inner)
            .map_err($crate::message::connection::failure)
    };
}
pub(crate) use call;

/// The answer to a batch has one item per item asked for; another number is the other side's mistake.
pub(crate) fn one_each<T>(answers: Vec<T>, asked: usize) -> Result<Vec<T>> {
    if answers.len() == asked {
        return Ok(answers);
    }
    let text = format!("the message service answered {} of {asked} items", answers.len());
    Err(Error::new(Code::Internal, text))
}
