//! `GET /v1/upstream/stream`: clients' messages as server-sent events, resumed by `Last-Event-ID`.

use super::Web;
use super::body::{Params, decimal};
use super::envelope::{ApiError, Envelope, Problem};
use super::mailbox::{MailPage, UpstreamView};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use gpusher_proto::data::{AppPage, UpstreamMessage};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a reader is told to wait before it comes back.
const RETRY: Duration = Duration::from_secs(1);

/// What clients send, as it comes
///
/// Server-sent events: `id` is the position, `data` the message as `GET /v1/upstream` has it. Starts after `Last-Event-ID`, else
/// after `after`, else with the oldest message kept. Messages stay until they are deleted.
#[utoipa::path(
    get, path = "/v1/upstream/stream", tag = "mail",
    params(MailPage, ("Last-Event-ID" = Option<String>, Header, description = "Position of the last event seen")),
    responses(
        (status = 200, description = "Events", content_type = "text/event-stream", body = UpstreamView),
        (status = 429, description = "Too many streams", body = Envelope<Problem>),
    )
)]
pub(super) async fn upstream_stream(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Params(asked): Params<MailPage>,
) -> Result<Response, ApiError> {
    let mut page = asked.resolve(&web).await?;
    if let Some(last) = headers.get("last-event-id") {
        page.after = decimal("Last-Event-ID", last.to_str().unwrap_or_default())?;
    }
    let Ok(place) = Arc::clone(&web.streams).try_acquire_owned() else {
        web.metrics.refused("streams_max");
        return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, "too many streams"));
    };
    let events = events(Tail::new(web, page, place));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Follows the end of an app's upstream messages. Holds its place among the streams.
struct Tail {
    web: Arc<Web>,
    page: AppPage,
    _place: OwnedSemaphorePermit,
}

impl Tail {
    fn new(web: Arc<Web>, page: AppPage, place: OwnedSemaphorePermit) -> Self {
        web.metrics.streams.inc();
        Self { web, page, _place: place }
    }

    /// Waits for the next messages; none when the stream is to end: at shutdown, or when the store fails and the
    /// reader had better come back.
    async fn next(&mut self) -> Option<Vec<UpstreamMessage>> {
        loop {
            match self.web.store.list_upstream(self.page).await {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    self.page.after = messages.last()?.position;
                    return Some(messages);
                }
                Err(error) => {
                    tracing::warn!(%error, "upstream messages cannot be read");
                    return None;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.web.config.stream_poll) => {}
                () = self.web.stopping.cancelled() => return None,
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.web.metrics.streams.dec();
    }
}

fn events(tail: Tail) -> impl Stream<Item = Result<Event, Infallible>> {
    let first = stream::once(async { Ok(Event::default().retry(RETRY)) });
    let rest = stream::unfold(tail, |mut tail| async {
        let messages = tail.next().await?;
        Some((stream::iter(messages.into_iter().map(event)), tail))
    });
    first.chain(rest.flatten())
}

fn event(message: UpstreamMessage) -> Result<Event, Infallible> {
    let position = message.position;
    let data = serde_json::to_string(&UpstreamView::from(message)).expect("answers serialise");
    Ok(Event::default().id(position.to_string()).event("message").data(data))
}
