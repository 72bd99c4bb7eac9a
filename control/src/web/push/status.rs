//! Where a push stands, and taking it back.

use crate::web::Web;
use crate::web::body::{Params, decimal};
use crate::web::envelope::{Answer, ApiError, Decimal, Envelope, ok, success};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gpusher_proto::data::{Job, MessageKey, Record, Status, UserStatus, job};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Where a push stands. Counters count receivers (devices), except as said.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) struct PushStatus {
    /// Message id.
    #[schema(value_type = String)]
    id: String,
    /// `queued` (accepted, not routed yet), `delivering` (gateways are at it), `done` (every gateway has finished; kept copies
    /// may still wait for who is away), `expired`, `recalled`.
    #[schema(example = "done")]
    state: &'static str,
    /// App it was pushed to.
    app_id: u32,
    /// Type of the push.
    r#type: u32,
    /// Unix milliseconds.
    accepted_at: i64,
    /// Unix milliseconds; absent if it never expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// What became of it so far.
    counters: Counters,
    /// Where it stands for the user asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserState>,
}

/// What became of a push so far.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::web) struct Counters {
    /// Gateways it was sent to.
    gateways: u64,
    /// Gateways that finished.
    done: u64,
    /// Logs it was written to.
    stored: u64,
    /// Taken by a socket.
    written: u64,
    /// Went through an outbox first.
    queued: u64,
    /// Acknowledged.
    acked: u64,
    /// Users of a live message who were not connected.
    absent: u64,
    /// Not delivered: expired.
    expired: u64,
    /// Live: dropped at a full outbox. Kept: spilled, replayed later.
    overflowed: u64,
    /// Delivered from the log.
    replayed: u64,
    /// Sent again for want of an acknowledgement.
    redelivered: u64,
    /// Given up, in the dead letters.
    dead: u64,
    /// Not delivered because of a recall.
    withdrawn: u64,
}

/// Where a kept push stands for one user.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct UserState {
    /// The user.
    uuid: String,
    /// `waiting`, `acknowledged` (by at least one device), `expired`, `recalled`, `dead`; `unknown` if it is not kept for
    /// this user, or not any more: once all devices have acknowledged it, and ten minutes are over. An expired or recalled push leaves its
    /// logs in time, too, and then is so for everybody.
    #[schema(example = "acknowledged")]
    state: &'static str,
    /// Sequence number in the log it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Decimal>,
}

/// Whose delivery.
#[derive(Debug, Deserialize, IntoParams)]
pub(in crate::web) struct StatusParams {
    /// Also say where the push stands for this user.
    uuid: Option<String>,
}

/// Where is this push?
#[utoipa::path(
    get, path = "/v1/push/{id}", tag = "push",
    params(("id" = String, Path, description = "Message id"), StatusParams),
    responses(
        (status = 200, description = "Counters so far", body = Envelope<PushStatus>),
        (status = 404, description = "Never accepted, still in the queue of another web process, or forgotten", body = Envelope<crate::web::envelope::Problem>),
    )
)]
pub(in crate::web) async fn push_status(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    Params(params): Params<StatusParams>,
) -> Answer {
    let id = decimal("id", &id)?;
    let status = web.store.get_status(id).await?;
    let mut view = match status {
        Some(status) => view(&status, crate::web::now_ms()),
        None if web.recent.contains(id) => {
            PushStatus { id: id.to_string(), state: "queued", ..PushStatus::default() }
        }
        None => return Err(ApiError::not_found(format!("no push {id} is known"))),
    };
    if let Some(uuid) = params.uuid {
        let status = web.store.get_user_status(id, &uuid).await?;
        view.user = Some(user_view(uuid, &status, view.state));
    }
    ok(view)
}

/// Take a push back
///
/// What is not delivered yet will not be; who has it already is told so by a RECALL frame (version 1).
/// 202: the recall is durably queued. 200: it was recalled before.
#[utoipa::path(
    delete, path = "/v1/push/{id}", tag = "push",
    params(("id" = String, Path, description = "Message id")),
    responses(
        (status = 202, description = "Will be recalled", body = Envelope<Recalled>),
        (status = 200, description = "Was recalled before", body = Envelope<Recalled>),
        (status = 404, description = "No such push is known", body = Envelope<crate::web::envelope::Problem>),
    )
)]
pub(in crate::web) async fn recall(State(web): State<Arc<Web>>, Path(id): Path<String>) -> Answer {
    let id = decimal("id", &id)?;
    match web.store.get_status(id).await? {
        Some(status) if status.recalled => return ok(Recalled { id: Decimal(id), recalled: true }),
        None if !web.recent.contains(id) => {
            return Err(ApiError::not_found(format!("no push {id} is known")));
        }
        _ => {}
    }
    let job = Job { kind: Some(job::Kind::Recall(MessageKey { id })) };
    let record = Record { offset: 0, key: format!("recall/{id}"), job: Some(job) };
    super::enqueue(&web, vec![record]).await?;
    Ok(success(StatusCode::ACCEPTED, Recalled { id: Decimal(id), recalled: false }))
}

/// Answer to a recall.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct Recalled {
    /// Message id.
    id: Decimal,
    /// Whether it is withdrawn already.
    recalled: bool,
}

fn view(status: &Status, now_ms: i64) -> PushStatus {
    PushStatus {
        id: status.id.to_string(),
        state: state(status, now_ms),
        app_id: status.app_id,
        r#type: status.r#type,
        accepted_at: status.accepted_at_ms,
        expires_at: (status.expires_at_ms != 0).then_some(status.expires_at_ms),
        counters: Counters {
            gateways: status.gateways,
            done: status.done,
            stored: status.stored,
            written: status.written,
            queued: status.queued,
            acked: status.acked,
            absent: status.absent,
            expired: status.expired,
            overflowed: status.overflowed,
            replayed: status.replayed,
            redelivered: status.redelivered,
            dead: status.dead,
            withdrawn: status.withdrawn,
        },
        user: None,
    }
}

fn state(status: &Status, now_ms: i64) -> &'static str {
    if status.recalled {
        "recalled"
    } else if status.expires_at_ms != 0 && status.expires_at_ms <= now_ms {
        "expired"
    } else if status.done < status.gateways {
        "delivering"
    } else {
        "done"
    }
}

fn user_view(uuid: String, status: &UserStatus, push: &'static str) -> UserState {
    let state = match status {
        UserStatus { known: false, .. } if ["expired", "recalled"].contains(&push) => push,
        UserStatus { known: false, .. } => "unknown",
        UserStatus { acknowledged: true, .. } => "acknowledged",
        UserStatus { recalled: true, .. } => "recalled",
        UserStatus { dead: true, .. } => "dead",
        UserStatus { expired: true, .. } => "expired",
        _ => "waiting",
    };
    UserState { uuid, state, sequence: (status.seq != 0).then_some(Decimal(status.seq)) }
}
