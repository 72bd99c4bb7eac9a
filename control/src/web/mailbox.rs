//! What an application reads and then deletes: dead letters, and what clients sent to it.

use super::Web;
use super::apps::Removed;
use super::body::{Params, decimal};
use super::content::Content;
use super::envelope::{Answer, ApiError, Decimal, Envelope, ok};
use super::limits::page;
use axum::extract::State;
use gpusher_proto::data::{AppPage, DeadLetter, UpstreamMessage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct MailPage {
    /// App: tag or number.
    #[serde(default)]
    pub(super) app: String,
    /// Rows after this position; absent: from the oldest.
    pub(super) after: Option<String>,
    /// At most this many, 1 to 1,000; absent: 100.
    limit: Option<u32>,
}

/// Up to where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailUpTo {
    /// App: tag or number.
    #[serde(default)]
    app: String,
    /// This position and all before it.
    #[serde(default)]
    up_to: String,
}

/// A push that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetterView {
    /// To continue after, and to delete up to.
    position: Decimal,
    /// Message id.
    id: Decimal,
    /// Who did not get it.
    uuid: String,
    /// On which device.
    device: String,
    /// Why it was given up.
    reason: String,
    /// When it was given up, Unix milliseconds.
    at: i64,
    /// When it was pushed, Unix milliseconds.
    accepted_at: i64,
    /// What it says.
    #[serde(flatten)]
    content: Content,
}

/// A message from a client to the application.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpstreamView {
    /// To continue after, and to delete up to.
    position: Decimal,
    /// Message id.
    id: Decimal,
    /// Who sent it.
    uuid: String,
    /// From which device.
    device: String,
    /// Unix milliseconds.
    at: i64,
    /// What it says.
    #[serde(flatten)]
    content: Content,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let push = letter.push.unwrap_or_default();
        Self {
            position: Decimal(letter.position),
            id: Decimal(push.id),
            uuid: letter.user,
            device: letter.device,
            reason: letter.reason,
            at: letter.at_ms,
            accepted_at: push.accepted_at_ms,
            content: Content::from(&push.content[..]),
        }
    }
}

impl From<UpstreamMessage> for UpstreamView {
    fn from(message: UpstreamMessage) -> Self {
        Self {
            position: Decimal(message.position),
            id: Decimal(message.id),
            uuid: message.user,
            device: message.device,
            at: message.at_ms,
            content: Content::from(&message.content[..]),
        }
    }
}

/// Pushes that were given up
///
/// A kept push that stays unacknowledged after its last redelivery is filed here, per receiver.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "mail", params(MailPage),
    responses((status = 200, description = "Oldest first", body = Envelope<Vec<DeadLetterView>>))
)]
pub(super) async fn dead_letters(
    State(web): State<Arc<Web>>,
    Params(asked): Params<MailPage>,
) -> Answer {
    let letters = web.store.list_dead_letters(asked.resolve(&web).await?).await?;
    ok(letters.into_iter().map(DeadLetterView::from).collect::<Vec<_>>())
}

/// Delete dead letters up to a position
#[utoipa::path(
    delete, path = "/v1/dead-letters", tag = "mail", params(MailUpTo),
    responses((status = 200, description = "Whether there were any", body = Envelope<Removed>))
)]
pub(super) async fn delete_dead_letters(
    State(web): State<Arc<Web>>,
    Params(asked): Params<MailUpTo>,
) -> Answer {
    let (app_id, up_to) = asked.resolve(&web).await?;
    ok(Removed { removed: web.store.delete_dead_letters(app_id, up_to).await? })
}

/// What clients sent to the application
#[utoipa::path(
    get, path = "/v1/upstream", tag = "mail", params(MailPage),
    responses((status = 200, description = "Oldest first", body = Envelope<Vec<UpstreamView>>))
)]
pub(super) async fn upstream(
    State(web): State<Arc<Web>>,
    Params(asked): Params<MailPage>,
) -> Answer {
    let messages = web.store.list_upstream(asked.resolve(&web).await?).await?;
    ok(messages.into_iter().map(UpstreamView::from).collect::<Vec<_>>())
}

/// Delete what clients sent, up to a position
#[utoipa::path(
    delete, path = "/v1/upstream", tag = "mail", params(MailUpTo),
    responses((status = 200, description = "Whether there was any", body = Envelope<Removed>))
)]
pub(super) async fn delete_upstream(
    State(web): State<Arc<Web>>,
    Params(asked): Params<MailUpTo>,
) -> Answer {
    let (app_id, up_to) = asked.resolve(&web).await?;
    ok(Removed { removed: web.store.delete_upstream(app_id, up_to).await? })
}

impl MailPage {
    pub(super) async fn resolve(&self, web: &Web) -> Result<AppPage, ApiError> {
        let app_id = web.apps.resolve(&self.app).await?;
        let after = decimal("after", self.after.as_deref().unwrap_or("0"))?;
        Ok(AppPage { app_id, after, limit: page(self.limit) })
    }
}

impl MailUpTo {
    async fn resolve(&self, web: &Web) -> Result<(u32, u64), ApiError> {
        Ok((web.apps.resolve(&self.app).await?, decimal("upTo", &self.up_to)?))
    }
}
