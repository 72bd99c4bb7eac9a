//! `POST /v1/token`: a user proves who they are and learns where to connect.

use super::Web;
use super::body::Json;
use super::envelope::{Answer, ApiError, Envelope, Problem, number, ok};
use super::limits::check_name;
use crate::routes::least_loaded_first;
use axum::extract::State;
use axum::http::StatusCode;
use gpusher_proto::data::User;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

const FAILURE_WINDOW: Duration = Duration::from_secs(60);
const FAILING_USERS_MAX: u64 = 100_000;
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Who wants to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default)]
#[derive(Default)]
pub(super) struct TokenRequest {
    /// The user's name on the wire.
    #[schema(example = "liangjf")]
    uuid: String,
    /// The account's name.
    #[schema(example = "liangjf")]
    username: String,
    /// The account's password.
    #[schema(example = "secret")]
    password: String,
}

/// What a client needs to connect.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenAnswer {
    /// JWT, good for 8 hours; presented at login.
    token: String,
    /// All gateways, least loaded first (those within a tenth in random order), separated by commas: the forerunner's form.
    #[schema(example = "10.0.0.1:8881,10.0.0.2:8881")]
    gateway_addr: String,
    /// The same as a list.
    gateways: Vec<String>,
}

/// Slows guessing down: few checks at a time, few failures per user.
pub(super) struct PasswordGuard {
    checks: Semaphore,
    failures: Cache<String, Arc<AtomicU32>>,
    failures_max: u32,
    /// Checked against when there is no such user, so that the time taken does not tell.
    decoy: tokio::sync::OnceCell<String>,
}

impl PasswordGuard {
    pub(super) fn new(checks_max: usize, failures_max: u32) -> Self {
        let failures =
            Cache::builder().max_capacity(FAILING_USERS_MAX).time_to_live(FAILURE_WINDOW).build();
        Self {
            checks: Semaphore::new(checks_max),
            failures,
            failures_max,
            decoy: tokio::sync::OnceCell::new(),
        }
    }
}

/// Get a token and a gateway
///
/// The only route for end users: it is opened by the password, not by an API key. In development mode any user gets a token.
/// Codes: 150 the token cannot be signed, 151 unknown user or wrong password, 152 users cannot be read at the moment,
/// 153 no gateway is available.
#[utoipa::path(
    post, path = "/v1/token", tag = "token",
    request_body(content = TokenRequest),
    responses(
        (status = 200, description = "Token and gateways", body = Envelope<TokenAnswer>, example = json!({
            "Code": 1, "Msg": "ok",
            "Data": {"token": "eyJhbGciOi…", "gatewayAddr": "127.0.0.1:8881", "gateways": ["127.0.0.1:8881"]}
        })),
        (status = 401, description = "Unknown user or wrong password (code 151)", body = Envelope<Problem>),
    )
)]
pub(super) async fn token(
    State(web): State<Arc<Web>>,
    Json(request): Json<TokenRequest>,
) -> Answer {
    check_name(number::USER_UNKNOWN, "uuid", &request.uuid)?;
    if !web.config.development {
        authenticate(&web, &request).await?;
    }
    let token = web.credentials.sign(&request.uuid).map_err(|error| {
        tracing::error!(%error, "token cannot be signed");
        let text = "token cannot be signed";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, number::TOKEN_NOT_SIGNED, text)
    })?;
    let mut leases = web.routes.gateways().await?;
    least_loaded_first(&mut leases);
    if leases.is_empty() {
        let text = "no gateway is available";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, number::GATEWAY_NONE, text));
    }
    let gateways: Vec<String> = leases.into_iter().map(|lease| lease.client_addr).collect();
    ok(TokenAnswer { token, gateway_addr: gateways.join(","), gateways })
}

async fn authenticate(web: &Web, request: &TokenRequest) -> Result<(), ApiError> {
    let failures = web.passwords.failures.get(&request.uuid);
    if failures.is_some_and(|count| count.load(Ordering::Relaxed) >= web.passwords.failures_max) {
        web.metrics.refused("password_failures_max");
        let text = "too many wrong passwords for this user; wait a minute";
        return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, text));
    }
    let user = web.store.get_user(&request.uuid).await.map_err(|error| {
        tracing::warn!(%error, "users cannot be read");
        ApiError::from(error).numbered(number::TOKEN_NOT_SAVED)
    })?;
    if check_password(web, request, user).await? {
        return Ok(());
    }
    let failures = web.passwords.failures.get_with(request.uuid.clone(), Arc::default);
    failures.fetch_add(1, Ordering::Relaxed);
    let text = "unknown user or wrong password";
    Err(ApiError::new(StatusCode::UNAUTHORIZED, number::USER_UNKNOWN, text))
}

async fn check_password(
    web: &Web,
    request: &TokenRequest,
    user: Option<User>,
) -> Result<bool, ApiError> {
    let Ok(_place) = web.passwords.checks.try_acquire() else {
        web.metrics.refused("password_checks_max");
        let text = "too many logins at once";
        return Err(ApiError::plain(StatusCode::TOO_MANY_REQUESTS, text));
    };
    let known = user.filter(|user| user.available && user.username == request.username);
    let exists = known.is_some();
    let hash = match known {
        Some(user) => user.password_hash,
        None => web.passwords.decoy.get_or_try_init(|| hash(web, String::new())).await?.clone(),
    };
    let mut password = request.password.clone();
    password.truncate(password.floor_char_boundary(PASSWORD_BYTES_MAX));
    let credentials = Arc::clone(&web.credentials);
    let matches = tokio::task::spawn_blocking(move || credentials.verify(&password, &hash));
    Ok(matches.await.map_err(panicked)? && exists)
}

/// Hashes a password away from the threads that answer requests.
pub(super) async fn hash(web: &Web, password: String) -> Result<String, ApiError> {
    if password.len() > PASSWORD_BYTES_MAX {
        let text = "password is longer than 1024 bytes";
        return Err(ApiError::invalid(number::BAD_BODY, "password", text));
    }
    let credentials = Arc::clone(&web.credentials);
    let hash = tokio::task::spawn_blocking(move || credentials.hash(&password));
    Ok(hash.await.map_err(panicked)??)
}

fn panicked(error: tokio::task::JoinError) -> ApiError {
    tracing::error!(%error, "password work failed");
    ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR, "password cannot be checked")
}
