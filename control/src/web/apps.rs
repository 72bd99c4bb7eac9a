//! Administration of apps.

use super::Web;
use super::body::Json;
use super::envelope::{Answer, ApiError, Envelope, Problem, number, ok, success};
use super::limits::check_name;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gpusher_proto::data::App;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A new app.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewApp {
    /// The name that pushes use; at most 64 bytes, not only digits.
    #[schema(example = "app_news")]
    #[serde(default)]
    tag: String,
    /// For people.
    #[schema(example = "News")]
    #[serde(default)]
    name: String,
    /// The number that clients log in with; absent or 0: the next free one.
    #[serde(default)]
    id: u32,
}

/// An app.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppView {
    /// The number that clients log in with.
    #[schema(example = 1000)]
    id: u32,
    /// The name that pushes use.
    #[schema(example = "app_gpusher")]
    tag: String,
    /// For people.
    name: String,
    /// Unix milliseconds.
    created_at: i64,
}

impl From<App> for AppView {
    fn from(app: App) -> Self {
        Self { id: app.id, tag: app.tag, name: app.name, created_at: app.created_at_ms }
    }
}

/// Add an app
#[utoipa::path(
    post, path = "/v1/apps", tag = "apps",
    request_body(content = NewApp),
    responses(
        (status = 201, description = "Added", body = Envelope<AppView>),
        (status = 409, description = "The tag or number is taken", body = Envelope<Problem>),
    )
)]
pub(super) async fn create_app(State(web): State<Arc<Web>>, Json(new): Json<NewApp>) -> Answer {
    check_name(number::TAG_MISSING, "tag", &new.tag)?;
    if new.tag.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = "tag must not be a number";
        return Err(ApiError::invalid(number::BAD_BODY, "tag", text));
    }
    if new.name.len() > 256 {
        return Err(ApiError::invalid(number::BAD_BODY, "name", "name is longer than 256 bytes"));
    }
    let app = App { id: new.id, tag: new.tag, name: new.name, created_at_ms: super::now_ms() };
    let app = web.store.create_app(app).await?;
    web.apps.forget();
    Ok(success(StatusCode::CREATED, AppView::from(app)))
}

/// All apps
#[utoipa::path(
    get, path = "/v1/apps", tag = "apps",
    responses((status = 200, description = "By number", body = Envelope<Vec<AppView>>))
)]
pub(super) async fn list_apps(State(web): State<Arc<Web>>) -> Answer {
    let apps = web.store.list_apps().await?;
    ok(apps.into_iter().map(AppView::from).collect::<Vec<_>>())
}

/// Remove an app
///
/// Its kept messages go with the next clean-up; its clients are refused at their next login.
#[utoipa::path(
    delete, path = "/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "Tag or number")),
    responses(
        (status = 200, description = "Removed", body = Envelope<Removed>),
        (status = 404, description = "No such app", body = Envelope<Problem>),
    )
)]
pub(super) async fn delete_app(State(web): State<Arc<Web>>, Path(app): Path<String>) -> Answer {
    let id = web.apps.resolve(&app).await?;
    let removed = web.store.delete_app(id).await?;
    web.apps.forget();
    if removed { ok(Removed { removed }) } else { Err(super::app_table::unknown(&app)) }
}

/// Answer to a removal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Removed {
    /// Whether there was something to remove.
    pub(super) removed: bool,
}
