//! Keeps a stream to a gateway in another process.

use super::core::LinkKey;
use super::data::jittered;
use super::link::{Socket, drive};
use gpusher_proto::gateway::ToGateway;
use gpusher_proto::gateway::gateway_client::GatewayClient;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A gateway's host that went away without a word is noticed within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A link that lived this long starts over with the shortest pause.
const STEADY: Duration = Duration::from_secs(10);
/// Largest report of a gateway.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Messages on their way out.
const MESSAGES_IN_FLIGHT: usize = 16;

/// Connects to `address` (host:port) again and again until the instance stops, or the stream has ended and the gateway is no longer
/// `wanted`. `attach` makes the first message.
pub(super) async fn keep_connected(
    socket: Socket,
    address: String,
    token: Option<MetadataValue<Ascii>>,
    mut wanted: watch::Receiver<bool>,
    mut attach: impl FnMut() -> (LinkKey, ToGateway),
) {
    let mut pause = PAUSE_FIRST;
    while !socket.stop.is_cancelled() && *wanted.borrow_and_update() {
        let started = Instant::now();
        let (key, attach) = attach();
        let ended = tokio::select! {
            ended = connect(&socket, &address, token.clone(), key, attach) => ended,
            () = socket.stop.cancelled() => return,
        };
        if let Err(error) = ended {
            tracing::warn!(address, error, "gateway not reachable");
        }
        if started.elapsed() >= STEADY {
            pause = PAUSE_FIRST;
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            _ = wanted.wait_for(|wanted| !wanted) => return,
            () = socket.stop.cancelled() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn connect(
    socket: &Socket,
    address: &str,
    token: Option<MetadataValue<Ascii>>,
    key: LinkKey,
    attach: ToGateway,
) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| error.to_string())?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
    let mut client = GatewayClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (to, commands) = mpsc::channel(MESSAGES_IN_FLIGHT);
    to.try_send(attach).map_err(|error| error.to_string())?;
    let mut request = tonic::Request::new(ReceiverStream::new(commands));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token);
    }
    let answer = tokio::time::timeout(CONNECT_TIMEOUT, client.link(request)).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?;
    let from = answer.map_err(|status| status.to_string())?.into_inner();
    drive(socket, key, to, from).await;
    Ok(())
}
