//! Administration of users. Passwords go in and never come out.

use super::Web;
use super::apps::Removed;
use super::body::{Json, Params};
use super::envelope::{Answer, ApiError, Decimal, Envelope, Problem, number, ok, success};
use super::limits::{check_name, page};
use super::token::hash;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gpusher_proto::data::User;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewUser {
    /// The name on the wire, at most 64 bytes.
    #[schema(example = "liangjf")]
    #[serde(default)]
    uuid: String,
    /// The account's name; absent: the uuid.
    username: Option<String>,
    /// Kept as an argon2 hash.
    #[schema(example = "secret")]
    #[serde(default)]
    password: String,
    /// Phone number.
    #[serde(default)]
    phone: String,
    /// Whether the user may get tokens.
    #[serde(default = "yes")]
    available: bool,
}

fn yes() -> bool {
    true
}

/// What to change of a user; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct UserChange {
    /// The account's name.
    username: Option<String>,
    /// A new password.
    password: Option<String>,
    /// Phone number.
    phone: Option<String>,
    /// Whether the user may get tokens.
    available: Option<bool>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView {
    /// The name on the wire.
    #[schema(example = "liangjf")]
    uuid: String,
    /// The account's name.
    username: String,
    /// Number of the account.
    user_id: Decimal,
    /// Phone number.
    phone: String,
    /// Whether the user may get tokens.
    available: bool,
    /// Unix milliseconds.
    created_at: i64,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            uuid: user.uuid,
            username: user.username,
            user_id: Decimal(user.user_id),
            phone: user.phone,
            available: user.available,
            created_at: user.created_at_ms,
        }
    }
}

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct UserPage {
    /// Users after this uuid; absent: from the first.
    #[serde(default)]
    after: String,
    /// At most this many, 1 to 1,000; absent: 100.
    limit: Option<u32>,
}

/// Add a user
#[utoipa::path(
    post, path = "/v1/users", tag = "users",
    request_body(content = NewUser),
    responses(
        (status = 201, description = "Added", body = Envelope<UserView>),
        (status = 409, description = "The uuid or username is taken", body = Envelope<Problem>),
    )
)]
pub(super) async fn create_user(State(web): State<Arc<Web>>, Json(new): Json<NewUser>) -> Answer {
    check_name(number::UUID_MISSING, "uuid", &new.uuid)?;
    if new.password.is_empty() {
        return Err(ApiError::invalid(number::BAD_BODY, "password", "password is missing"));
    }
    let user = User {
        username: new.username.unwrap_or_else(|| new.uuid.clone()),
        uuid: new.uuid,
        user_id: 0,
        phone: new.phone,
        available: new.available,
        password_hash: String::new(),
        created_at_ms: super::now_ms(),
    };
    check(&user)?;
    let user = User { password_hash: hash(&web, new.password).await?, ..user };
    let user = web.store.create_user(user).await?;
    Ok(success(StatusCode::CREATED, UserView::from(user)))
}

/// Users in the order of their uuids
#[utoipa::path(
    get, path = "/v1/users", tag = "users", params(UserPage),
    responses((status = 200, description = "A page", body = Envelope<Vec<UserView>>))
)]
pub(super) async fn list_users(
    State(web): State<Arc<Web>>,
    Params(asked): Params<UserPage>,
) -> Answer {
    let users = web.store.list_users(&asked.after, page(asked.limit)).await?;
    ok(users.into_iter().map(UserView::from).collect::<Vec<_>>())
}

/// One user
#[utoipa::path(
    get, path = "/v1/users/{uuid}", tag = "users", params(("uuid" = String, Path, description = "The user")),
    responses(
        (status = 200, description = "The user", body = Envelope<UserView>),
        (status = 404, description = "No such user", body = Envelope<Problem>),
    )
)]
pub(super) async fn get_user(State(web): State<Arc<Web>>, Path(uuid): Path<String>) -> Answer {
    ok(UserView::from(find(&web, &uuid).await?))
}

/// Change a user
///
/// A new password or `"available": false` counts from the next token on; tokens given out stay good until they expire.
#[utoipa::path(
    patch, path = "/v1/users/{uuid}", tag = "users", params(("uuid" = String, Path, description = "The user")),
    request_body(content = UserChange, example = json!({"available": false})),
    responses(
        (status = 200, description = "As it is after the change", body = Envelope<UserView>),
        (status = 404, description = "No such user", body = Envelope<Problem>),
        (status = 409, description = "The username is taken", body = Envelope<Problem>),
    )
)]
pub(super) async fn update_user(
    State(web): State<Arc<Web>>,
    Path(uuid): Path<String>,
    Json(change): Json<UserChange>,
) -> Answer {
    let mut user = find(&web, &uuid).await?;
    user.username = change.username.unwrap_or(user.username);
    user.phone = change.phone.unwrap_or(user.phone);
    user.available = change.available.unwrap_or(user.available);
    check(&user)?;
    // Empty: the store leaves the password as it is.
    user.password_hash = match change.password {
        Some(password) if password.is_empty() => {
            return Err(ApiError::invalid(number::BAD_BODY, "password", "password is empty"));
        }
        Some(password) => hash(&web, password).await?,
        None => String::new(),
    };
    if !web.store.update_user(user.clone()).await? {
        return Err(no_user(&uuid));
    }
    ok(UserView::from(user))
}

/// Remove a user
#[utoipa::path(
    delete, path = "/v1/users/{uuid}", tag = "users", params(("uuid" = String, Path, description = "The user")),
    responses(
        (status = 200, description = "Removed", body = Envelope<Removed>),
        (status = 404, description = "No such user", body = Envelope<Problem>),
    )
)]
pub(super) async fn delete_user(State(web): State<Arc<Web>>, Path(uuid): Path<String>) -> Answer {
    let removed = web.store.delete_user(&uuid).await?;
    if removed { ok(Removed { removed }) } else { Err(no_user(&uuid)) }
}

async fn find(web: &Web, uuid: &str) -> Result<User, ApiError> {
    web.store.get_user(uuid).await?.ok_or_else(|| no_user(uuid))
}

fn no_user(uuid: &str) -> ApiError {
    ApiError::not_found(format!("no user has the uuid {uuid:?}"))
}

fn check(user: &User) -> Result<(), ApiError> {
    check_name(number::BAD_BODY, "username", &user.username)?;
    if user.phone.len() > 32 {
        return Err(ApiError::invalid(number::BAD_BODY, "phone", "phone is longer than 32 bytes"));
    }
    Ok(())
}
