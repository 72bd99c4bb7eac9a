//! One gateway's stream: the handshake, then commands out and events in.

use super::core::LinkKey;
use super::run::Input;
use futures_util::{Stream, StreamExt};
use gpusher_proto::gateway::{Batch, FromGateway, Hello, ToGateway, from_gateway, to_gateway};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A gateway says hello within this, or is left.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// What the driver of a stream needs of the instance.
#[derive(Clone)]
pub(super) struct Socket {
    /// To the core.
    pub(super) inputs: mpsc::Sender<Input>,
    /// Ends the instance.
    pub(super) stop: CancellationToken,
}

/// A gateway that has said hello, for the core: its name, and the way to it.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) key: LinkKey,
    pub(super) hello: Hello,
    /// Bounded by the credit that the gateway gives.
    pub(super) batches: mpsc::UnboundedSender<Batch>,
    /// Cuts the link.
    pub(super) cut: CancellationToken,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The gateway ended it, without an error.
    Closed,
    /// It broke, or was cut.
    Broken,
}

/// Drives a stream whose `Attach` is already on its way, to its end.
pub(super) async fn drive(
    socket: &Socket,
    key: LinkKey,
    to: mpsc::Sender<ToGateway>,
    mut from: impl Stream<Item = Result<FromGateway, tonic::Status>> + Unpin,
) -> End {
    let hello = tokio::select! {
        first = tokio::time::timeout(HELLO_TIMEOUT, from.next()) => first,
        () = socket.stop.cancelled() => return End::Broken,
    };
    let Ok(Some(Ok(FromGateway { kind: Some(from_gateway::Kind::Hello(hello)) }))) = hello else {
        tracing::warn!(first = ?hello, "gateway does not say hello");
        return End::Broken;
    };
    let (batches, waiting) = mpsc::unbounded_channel();
    let cut = socket.stop.child_token();
    tracing::info!(
        gateway = hello.gateway,
        epoch = hello.epoch,
        shards = hello.shards,
        "gateway linked"
    );
    let gateway = hello.gateway;
    let up = Up { key, hello, batches, cut: cut.clone() };
    if socket.inputs.send(Input::Up(up)).await.is_err() {
        return End::Broken;
    }
    let end = tokio::select! {
        end = receive(socket, key, &mut from) => end,
        () = send(waiting, to) => End::Broken,
        () = cut.cancelled() => End::Broken,
    };
    tracing::info!(gateway, ?end, "gateway link ended");
    let _ = socket.inputs.send(Input::Down(key, end)).await;
    end
}

async fn receive(
    socket: &Socket,
    key: LinkKey,
    from: &mut (impl Stream<Item = Result<FromGateway, tonic::Status>> + Unpin),
) -> End {
    loop {
        let input = match from.next().await {
            None => return End::Closed,
            Some(Err(error)) => {
                tracing::warn!(%error, "gateway link broke");
                return End::Broken;
            }
            Some(Ok(message)) => match message.kind {
                Some(from_gateway::Kind::Report(report)) => Input::Report(key, report),
                Some(from_gateway::Kind::Credit(credit)) => Input::Credit(key, credit.commands),
                // A second hello, or a kind of a later version: without meaning here.
                Some(from_gateway::Kind::Hello(_)) | None => continue,
            },
        };
        if socket.inputs.send(input).await.is_err() {
            return End::Broken;
        }
    }
}

async fn send(mut waiting: mpsc::UnboundedReceiver<Batch>, to: mpsc::Sender<ToGateway>) {
    while let Some(batch) = waiting.recv().await {
        let message = ToGateway { kind: Some(to_gateway::Kind::Batch(batch)) };
        if to.send(message).await.is_err() {
            break;
        }
    }
    // The stream's other direction says why it ended.
    std::future::pending().await
}
