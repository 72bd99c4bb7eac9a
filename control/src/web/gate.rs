//! What every request passes: a bound on how many are under way, a time limit, the API key, counting.

use super::Web;
use super::config::Config;
use super::envelope::ApiError;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// A number of places; taking one never waits.
pub(super) struct Places {
    free: AtomicUsize,
}

/// A place, given back when dropped.
pub(super) struct Place<'a>(&'a Places);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { free: AtomicUsize::new(count) }
    }

    pub(super) fn try_take(&self) -> Option<Place<'_>> {
        let taken = self
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1));
        taken.ok().map(|_| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
    }
}

/// Around every route.
pub(super) async fn pass(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = bounded(&web, request, next).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    web.metrics.answered(route, known(&method), response.status().as_u16(), started.elapsed());
    response
}

async fn bounded(web: &Web, request: Request, next: Next) -> Response {
    let Some(_place) = web.requests.try_take() else {
        web.metrics.refused("requests_max");
        let text = "too many requests are under way";
        return ApiError::plain(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    match tokio::time::timeout(web.config.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            web.metrics.refused("request_timeout");
            let text = "no answer in time; what was asked for may have happened: repeat it with the same Idempotency-Key";
            ApiError::plain(StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Anybody may invent methods; labels must stay few.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS => method.as_str(),
        _ => "other",
    }
}

/// Around every route that changes or reveals something.
pub(super) async fn ask_key(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    if web.config.development
        || presented(request.headers()).is_some_and(|key| accepted(&web.config, key))
    {
        return next.run(request).await;
    }
    web.metrics.refused("api_key");
    let text = "an API key is needed: Authorization: Bearer, or X-API-Key";
    ApiError::plain(StatusCode::UNAUTHORIZED, text).into_response()
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().as_bytes())
}

/// Compares with every key in constant time, so that the time taken tells nothing but lengths.
fn accepted(config: &Config, key: &[u8]) -> bool {
    let mut found = subtle::Choice::from(0);
    for known in config.api_keys.iter().filter(|known| !known.is_empty()) {
        found |= known.as_bytes().ct_eq(key);
    }
    found.into()
}
