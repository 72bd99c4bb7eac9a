//! The table of routes. Router and description are made from one list, so neither can lack what the other has.

use super::docs::{Head, describe_failures, describe_key};
use super::envelope::ApiError;
use super::{Web, apps, docs, gate, mailbox, presence, push, stream, system, token, users};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

type Routes = OpenApiRouter<Arc<Web>>;

/// The router, and the description as JSON.
pub(super) fn assemble(web: &Arc<Web>) -> (Router, Bytes) {
    let mut keyed = keyed(web.config.batch_bytes_max)
        .route_layer(from_fn_with_state(Arc::clone(web), gate::ask_key));
    describe_key(keyed.get_openapi_mut());
    let routes = OpenApiRouter::with_openapi(Head::openapi()).merge(open()).merge(keyed);
    let (router, mut document) = routes.split_for_parts();
    describe_failures(&mut document);
    let router = router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(web.config.body_bytes_max()))
        .layer(from_fn_with_state(Arc::clone(web), gate::pass))
        .with_state(Arc::clone(web));
    let document = serde_json::to_vec(&document).expect("the description serialises");
    (router, document.into())
}

/// Open to everybody: what says nothing about anybody, and the token, which asks for a password.
fn open() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(docs::index))
        .routes(routes!(docs::openapi))
        .routes(routes!(system::healthz))
        .routes(routes!(system::readyz))
        .routes(routes!(token::token))
}

/// What changes or reveals something.
fn keyed(batch_bytes_max: usize) -> Routes {
    let batch_limit = DefaultBodyLimit::max(batch_bytes_max);
    OpenApiRouter::new()
        .routes(routes!(push::push))
        .routes(routes!(push::push_batch).layer(batch_limit))
        .routes(routes!(push::status::push_status, push::status::recall))
        .routes(routes!(mailbox::dead_letters, mailbox::delete_dead_letters))
        .routes(routes!(mailbox::upstream, mailbox::delete_upstream))
        .routes(routes!(stream::upstream_stream))
        .routes(routes!(presence::presence, presence::presence_of_many))
        .routes(routes!(presence::presence_counts))
        .routes(routes!(presence::connections))
        .routes(routes!(presence::kick))
        .routes(routes!(apps::list_apps, apps::create_app))
        .routes(routes!(apps::delete_app))
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(users::get_user, users::update_user, users::delete_user))
        .routes(routes!(system::system))
        .routes(routes!(system::metrics))
}

async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("no such path: {}", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    let text = format!("{method} is not for {}", uri.path());
    ApiError::plain(StatusCode::METHOD_NOT_ALLOWED, text)
}
