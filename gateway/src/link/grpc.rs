//! The gRPC face of the link: an adapter over the same channels that a logic in the process uses.

use super::hub::Request;
use super::{LinkEnd, LinkEnds, MESSAGE_BYTES_MAX, pair};
use futures_util::stream::{self, Stream, StreamExt};
use gpusher_proto::gateway::gateway_server::{Gateway, GatewayServer};
use gpusher_proto::gateway::{FromGateway, ToGateway};
use std::pin::Pin;
use subtle::ConstantTimeEq;
use tokio::sync::mpsc;
use tonic::{Request as Call, Response, Status, Streaming};

/// `Gateway.Link`.
#[derive(Debug)]
pub struct LinkService {
    requests: mpsc::UnboundedSender<Request>,
    secret: Option<String>,
}

impl LinkService {
    /// `secret`: what callers must present as `authorization: Bearer …`.
    pub(super) fn server(
        requests: mpsc::UnboundedSender<Request>,
        secret: Option<String>,
    ) -> GatewayServer<Self> {
        GatewayServer::new(Self { requests, secret })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn authorize<T>(&self, call: &Call<T>) -> Result<(), Status> {
        let Some(secret) = &self.secret else { return Ok(()) };
        let given = call.metadata().get("authorization").map_or(&[][..], |value| value.as_bytes());
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        if bool::from(given.ct_eq(secret.as_bytes())) {
            return Ok(());
        }
        Err(Status::unauthenticated("link.secret is not the gateway's: set the same in both"))
    }
}

#[tonic::async_trait]
impl Gateway for LinkService {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<FromGateway, Status>> + Send>>;

    async fn link(
        &self,
        call: Call<Streaming<ToGateway>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        self.authorize(&call)?;
        let (LinkEnds { to, mut from, end }, pipe) = pair();
        self.requests.send(Request::Attach(pipe)).map_err(|_| status(LinkEnd::Shutdown))?;
        tokio::spawn(forward(call.into_inner(), to));
        let messages = stream::poll_fn(move |context| from.poll_recv(context));
        let last = stream::iter([()]).filter_map(move |()| {
            let why = end.get().filter(|why| *why != LinkEnd::Closed);
            std::future::ready(why.map(|why| Err(status(why))))
        });
        Ok(Response::new(Box::pin(messages.map(Ok).chain(last))))
    }
}

/// Moves commands into the link until either side ends; a full link makes HTTP/2 hold the caller back.
async fn forward(mut commands: Streaming<ToGateway>, to: mpsc::Sender<ToGateway>) {
    loop {
        tokio::select! {
            () = to.closed() => return,
            message = commands.message() => match message {
                Ok(Some(message)) => if to.send(message).await.is_err() { return },
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "stream of a logic broke");
                    return;
                }
            },
        }
    }
}

/// How a caller is told why its stream ended.
fn status(why: LinkEnd) -> Status {
    let text = why.to_string();
    match why {
        LinkEnd::Closed => Status::ok(text),
        LinkEnd::Replaced => Status::already_exists(text),
        LinkEnd::Violation(_) => Status::invalid_argument(text),
        LinkEnd::Stalled => Status::resource_exhausted(text),
        LinkEnd::Shutdown => Status::unavailable(text),
    }
}
