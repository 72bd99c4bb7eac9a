//! Who is connected, and how to end that.

use super::Web;
use super::body::{Json, Params, decimal};
use super::envelope::{Answer, ApiError, Decimal, Envelope, Problem, number, ok, success};
use super::limits::{DEVICE_BYTES_MAX, check_name, page};
use super::push::{enqueue, of_user};
use axum::extract::State;
use axum::http::StatusCode;
use gpusher_proto::data::{Count, Job, KickJob, Record, Route, RoutePage, UserInApp, job};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

const USERS_MAX: usize = 1_000;
const TEXT_BYTES_MAX: usize = 200;

/// One connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    /// Connection id.
    id: Decimal,
    /// Who it is.
    uuid: String,
    /// Which of the user's devices; empty: nameless.
    device: String,
    /// Gateway that holds it.
    gateway: u32,
    /// Version of the client protocol.
    version: u32,
    /// Unix milliseconds.
    since: i64,
}

impl From<Route> for Connection {
    fn from(route: Route) -> Self {
        Self {
            id: Decimal(route.conn),
            uuid: route.user,
            device: route.device,
            gateway: route.gateway,
            version: route.version,
            since: route.since_ms,
        }
    }
}

/// Whether a user is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Presence {
    /// The user.
    uuid: String,
    /// Whether there is a connection.
    online: bool,
    /// All of them.
    connections: Vec<Connection>,
}

impl Presence {
    fn new(uuid: String, routes: Vec<Route>) -> Self {
        let connections: Vec<Connection> = routes.into_iter().map(Connection::from).collect();
        Self { uuid, online: !connections.is_empty(), connections }
    }
}

/// Which user.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct PresenceParams {
    /// App: tag or number.
    #[serde(default)]
    app: String,
    /// The user.
    #[serde(default)]
    uuid: String,
}

/// Which users.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct PresenceRequest {
    /// App: tag or number.
    #[serde(default)]
    #[schema(example = "app_gpusher")]
    app: String,
    /// At most 1,000.
    #[serde(default)]
    uuids: Vec<String>,
}

/// Counts of one app.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppCount {
    /// Number of the app.
    app_id: u32,
    /// Connections.
    connections: u64,
    /// Different users.
    users: u64,
}

/// Is this user connected?
#[utoipa::path(
    get, path = "/v1/presence", tag = "presence", params(PresenceParams),
    responses((status = 200, description = "The user's connections", body = Envelope<Presence>))
)]
pub(super) async fn presence(
    State(web): State<Arc<Web>>,
    Params(asked): Params<PresenceParams>,
) -> Answer {
    let app_id = web.apps.resolve(&asked.app).await?;
    check_name(number::UUID_MISSING, "uuid", &asked.uuid)?;
    let users = vec![UserInApp { app_id, user: asked.uuid.clone() }];
    let routes = web.routes.locate(users).await?.into_iter().next().unwrap_or_default();
    ok(Presence::new(asked.uuid, routes))
}

/// Which of these users are connected?
#[utoipa::path(
    post, path = "/v1/presence", tag = "presence",
    request_body(content = PresenceRequest, example = json!({"app": "app_gpusher", "uuids": ["alice", "bob"]})),
    responses((status = 200, description = "In the order asked for", body = Envelope<Vec<Presence>>))
)]
pub(super) async fn presence_of_many(
    State(web): State<Arc<Web>>,
    Json(asked): Json<PresenceRequest>,
) -> Answer {
    let app_id = web.apps.resolve(&asked.app).await?;
    if asked.uuids.len() > USERS_MAX {
        let text = "uuids has more than 1000 users";
        return Err(ApiError::invalid(number::BAD_BODY, "uuids", text));
    }
    let users = asked.uuids.iter().map(|user| UserInApp { app_id, user: user.clone() }).collect();
    let located = web.routes.locate(users).await?;
    let presences = asked.uuids.into_iter().zip(located);
    ok(presences.map(|(uuid, routes)| Presence::new(uuid, routes)).collect::<Vec<_>>())
}

/// How many are connected, per app
#[utoipa::path(
    get, path = "/v1/presence/counts", tag = "presence",
    responses((status = 200, description = "Apps with connections", body = Envelope<Vec<AppCount>>))
)]
pub(super) async fn presence_counts(State(web): State<Arc<Web>>) -> Answer {
    let counts = web.routes.counts(0).await?;
    let view = |count: Count| AppCount {
        app_id: count.app_id,
        connections: count.connections,
        users: count.users,
    };
    ok(counts.into_iter().map(view).collect::<Vec<_>>())
}

/// Which connections.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionPage {
    /// App: tag or number.
    #[serde(default)]
    app: String,
    /// `uuid` of the last connection of the page before.
    #[serde(default)]
    after_uuid: String,
    /// `id` of the last connection of the page before.
    after_id: Option<String>,
    /// At most this many, 1 to 1,000; absent: 100.
    limit: Option<u32>,
}

/// Connections of an app, by user and connection id
#[utoipa::path(
    get, path = "/v1/connections", tag = "presence", params(ConnectionPage),
    responses((status = 200, description = "A page", body = Envelope<Vec<Connection>>))
)]
pub(super) async fn connections(
    State(web): State<Arc<Web>>,
    Params(asked): Params<ConnectionPage>,
) -> Answer {
    let after_conn = decimal("afterId", asked.after_id.as_deref().unwrap_or("0"))?;
    let request = RoutePage {
        app_id: web.apps.resolve(&asked.app).await?,
        after_user: asked.after_uuid,
        after_conn,
        limit: page(asked.limit),
    };
    let routes = web.routes.list(request).await?;
    ok(routes.into_iter().map(Connection::from).collect::<Vec<_>>())
}

/// Whom to disconnect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct KickRequest {
    /// App: tag or number.
    #[serde(default)]
    #[schema(example = "app_gpusher")]
    app: String,
    /// The user.
    #[serde(default)]
    #[schema(example = "liangjf")]
    uuid: String,
    /// Only this device; absent or empty: all.
    #[serde(default)]
    device: String,
    /// What the client is told about coming back.
    #[serde(default)]
    reconnect: Reconnect,
    /// Milliseconds before the client may come back.
    #[serde(default)]
    delay_ms: u32,
    /// Shown to the client, at most 200 bytes.
    #[serde(default)]
    text: String,
}

/// Whether a kicked client is to come back: the advice of WIRE.md's CLOSE.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reconnect {
    /// After the delay.
    Later,
    /// With a new token.
    NewToken,
    /// Not at all.
    #[default]
    Never,
}

/// A job that will be done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Queued {
    /// Always true.
    queued: bool,
}

/// Disconnect a user, with a reason
#[utoipa::path(
    post, path = "/v1/kick", tag = "presence",
    request_body(content = KickRequest, example = json!({"app": "app_gpusher", "uuid": "liangjf", "reconnect": "never", "text": "signed out"})),
    responses(
        (status = 202, description = "Will be disconnected", body = Envelope<Queued>),
        (status = 404, description = "No such app", body = Envelope<Problem>),
    )
)]
pub(super) async fn kick(State(web): State<Arc<Web>>, Json(asked): Json<KickRequest>) -> Answer {
    let app_id = web.apps.resolve(&asked.app).await?;
    check_name(number::UUID_MISSING, "uuid", &asked.uuid)?;
    if asked.device.len() > DEVICE_BYTES_MAX {
        return Err(ApiError::invalid(
            number::BAD_BODY,
            "device",
            "device is longer than 64 bytes",
        ));
    }
    if asked.text.len() > TEXT_BYTES_MAX {
        return Err(ApiError::invalid(number::BAD_BODY, "text", "text is longer than 200 bytes"));
    }
    let key = of_user(app_id, &asked.uuid);
    let kick = KickJob {
        app_id,
        user: asked.uuid,
        device: asked.device,
        advice: asked.reconnect as u32,
        delay_ms: asked.delay_ms,
        text: asked.text,
    };
    let record = Record { offset: 0, key, job: Some(Job { kind: Some(job::Kind::Kick(kick)) }) };
    enqueue(&web, vec![record]).await?;
    Ok(success(StatusCode::ACCEPTED, Queued { queued: true }))
}
