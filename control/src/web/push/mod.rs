//! `POST /v1/push` and its batch: from a body to durable jobs.

mod key;
mod recent;
mod request;
pub(super) mod status;

pub(super) use key::of_user;
pub(super) use recent::Recent;
pub(super) use request::{PushBatch, PushRequest};

use super::Web;
use super::body::{Body, parse, parse_any, parse_value};
use super::envelope::{
    Answer, ApiError, Decimal, Envelope, Problem, encode_ok, number, ok_encoded,
};
use super::idempotency::Remembered;
use crate::error::Code;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use gpusher_proto::data::{Job, Push, Record, job};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What the pusher gets for an accepted push.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    /// Message id, by which to ask for the status and to recall.
    id: Decimal,
    /// Unix milliseconds.
    accepted_at: i64,
    /// Unix milliseconds; absent if it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// Whether receivers who are away get it later.
    kept: bool,
}

impl Accepted {
    fn new(push: &Push) -> Self {
        Self {
            id: Decimal(push.id),
            accepted_at: push.accepted_at_ms,
            expires_at: (push.expires_at_ms != 0).then_some(push.expires_at_ms),
            kept: push.offline_push,
        }
    }
}

/// One push of a batch: accepted, or what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchResult {
    /// As a single push is answered.
    Accepted(Accepted),
    /// As a single push is refused.
    Refused(Problem),
}

/// Results in the order of the pushes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchResults {
    /// How many were accepted.
    accepted: usize,
    /// How many were refused.
    refused: usize,
    /// One per push.
    results: Vec<BatchResult>,
}

/// Push a message
///
/// Answered with 200 once the push is durably queued. With `offlinePush` it is then delivered, expired, recalled or filed as a
/// dead letter, whatever process is killed. An `Idempotency-Key` header (1 to 255 characters) makes the repeat of a request
/// harmless: this web process answers it as it did the first (header `Idempotency-Replayed: true`).
#[utoipa::path(
    post, path = "/v1/push", tag = "push",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body are done once")),
    request_body(content = PushRequest, example = json!({
        "tag": "app_gpusher",
        "body": {"type": 1, "uuid": "liangjf", "content": "hello world 123", "expireTime": 3600, "offlinePush": false}
    })),
    responses(
        (status = 200, description = "Durably queued", body = Envelope<Accepted>, example = json!({
            "Code": 1, "Msg": "ok",
            "Data": {"id": "7308123456789012480", "acceptedAt": 1_763_856_000_000_i64, "expiresAt": 1_763_859_600_000_i64, "kept": false}
        })),
        (status = 404, description = "No app has this tag (code 101)", body = Envelope<Problem>),
        (status = 413, description = "Content over 1 MiB (code 100)", body = Envelope<Problem>),
        (status = 422, description = "The idempotency key came with another body before", body = Envelope<Problem>),
    )
)]
pub(super) async fn push(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let entry = web.idempotency.entry("push", &headers, &body, || vec![web.ids.next()])?;
    match entry {
        None => Ok(ok_encoded(push_one(&web, &body, web.ids.next()).await?)),
        Some(entry) => once(&entry, || push_one(&web, &body, entry.ids[0])).await,
    }
}

/// Push many messages
///
/// An array of pushes, answered one by one: a wrong one does not stop the others. They are queued in one go, so this is
/// by far the cheapest way to push much. At most 10,000 pushes and 16 MiB.
#[utoipa::path(
    post, path = "/v1/push/batch", tag = "push",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body are done once")),
    request_body(content = Vec<PushRequest>, example = json!([
        {"tag": "app_gpusher", "body": {"type": 1, "uuid": "alice", "content": "one"}},
        {"tag": "app_gpusher", "body": {"type": 4, "topic": "news", "content": "two", "offlinePush": true}}
    ])),
    responses(
        (status = 200, description = "Those accepted are durably queued", body = Envelope<BatchResults>, example = json!({
            "Code": 1, "Msg": "ok",
            "Data": {"accepted": 1, "refused": 1, "results": [
                {"id": "7308123456789012480", "acceptedAt": 1_763_856_000_000_i64, "kept": false},
                {"code": 104, "msg": "body.content is missing", "field": "body.content"}
            ]}
        })),
        (status = 413, description = "Too many pushes or bytes (code 100)", body = Envelope<Problem>),
        (status = 422, description = "The idempotency key came with another body before", body = Envelope<Problem>),
    )
)]
pub(super) async fn push_batch(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let requests = parse_batch(&body)?;
    if requests.len() > web.config.batch_max {
        let text = format!("more than {} pushes in one batch", web.config.batch_max);
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, number::BAD_BODY, text));
    }
    let count = requests.len();
    let new_ids = || std::iter::repeat_with(|| web.ids.next()).take(count).collect();
    match web.idempotency.entry("push/batch", &headers, &body, new_ids)? {
        None => Ok(ok_encoded(push_many(&web, requests, &new_ids()).await?)),
        Some(entry) => once(&entry, || push_many(&web, requests, &entry.ids)).await,
    }
}

/// Does a request under an idempotency key, or repeats its answer.
async fn once<F>(entry: &Remembered, publish: impl FnOnce() -> F) -> Answer
where
    F: Future<Output = Result<Bytes, ApiError>>,
{
    let mut first = false;
    let answer = entry
        .answer
        .get_or_try_init(|| {
            first = true;
            publish()
        })
        .await?
        .clone();
    let mut response: Response = ok_encoded(answer);
    if !first {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn push_one(web: &Web, body: &[u8], id: u64) -> Result<Bytes, ApiError> {
    let push = check(web, parse(body)?, id).await?;
    let accepted = Accepted::new(&push);
    publish(web, vec![push]).await?;
    Ok(encode_ok(accepted))
}

async fn push_many(web: &Web, requests: PushBatch, ids: &[u64]) -> Result<Bytes, ApiError> {
    let mut pushes = Vec::with_capacity(requests.len());
    let mut results = Vec::with_capacity(requests.len());
    for (request, &id) in requests.into_iter().zip(ids) {
        let checked = match request {
            Ok(request) => check(web, request, id).await,
            Err(error) => Err(error),
        };
        results.push(match checked {
            Ok(push) => {
                let accepted = Accepted::new(&push);
                pushes.push(push);
                BatchResult::Accepted(accepted)
            }
            Err(error) if error.status.is_server_error() => return Err(error),
            Err(error) => BatchResult::Refused(error.problem),
        });
    }
    let accepted = pushes.len();
    publish(web, pushes).await?;
    Ok(encode_ok(BatchResults { accepted, refused: results.len() - accepted, results }))
}

async fn check(web: &Web, request: PushRequest, id: u64) -> Result<Push, ApiError> {
    let mut push = request.check(&web.config, super::now_ms())?;
    let app_id = web.apps.id(&push.tag).await?;
    push.app_id = app_id.ok_or_else(|| super::app_table::unknown(&push.tag))?;
    push.id = id;
    Ok(push)
}

async fn publish(web: &Web, pushes: Vec<Push>) -> Result<(), ApiError> {
    if pushes.is_empty() {
        return Ok(());
    }
    let ids: Vec<u64> = pushes.iter().map(|push| push.id).collect();
    let records = pushes.into_iter().map(record).collect();
    enqueue(web, records).await.map_err(|error| error.numbered(number::BAD_BODY))?;
    web.metrics.pushes.inc_by(ids.len() as u64);
    web.recent.insert(&ids);
    Ok(())
}

/// Publishes. A full queue is the system's state rather than the caller's doing: 503, as when it is down.
pub(super) async fn enqueue(web: &Web, records: Vec<Record>) -> Result<(), ApiError> {
    web.queue.publish(records).await.map_err(|error| match error.code {
        Code::Overloaded => ApiError::plain(StatusCode::SERVICE_UNAVAILABLE, error.text),
        _ => ApiError::from(error),
    })
}

fn record(push: Push) -> Record {
    Record {
        offset: 0,
        key: key::of_push(&push),
        job: Some(Job { kind: Some(job::Kind::Push(push)) }),
    }
}

/// Reads a batch in one go; only if that fails, element by element, to refuse just the wrong ones.
fn parse_batch(body: &[u8]) -> Result<PushBatch, ApiError> {
    match serde_json::from_slice::<Vec<PushRequest>>(body) {
        Ok(requests) => Ok(requests.into_iter().map(Ok).collect()),
        Err(_) => {
            Ok(parse_any::<Vec<serde_json::Value>>(body)?.into_iter().map(parse_value).collect())
        }
    }
}
