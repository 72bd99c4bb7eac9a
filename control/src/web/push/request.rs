//! The body of a push: the forerunner's, with topics, lists and binary content.

use crate::web::config::Config;
use crate::web::envelope::{ApiError, number};
use crate::web::limits::{EXPIRE_TIME_MAX, check_name};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gpusher_proto::data::Push;
use gpusher_proto::gateway::SlowPolicy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Pushes of a batch; one that cannot be read is an error by itself.
pub(in crate::web) type PushBatch = Vec<Result<PushRequest, ApiError>>;

/// A push.
#[derive(Debug, Deserialize, ToSchema)]
pub(in crate::web) struct PushRequest {
    /// Name of the app.
    #[serde(default)]
    #[schema(example = "app_gpusher")]
    tag: String,
    /// What goes to whom.
    #[serde(default)]
    body: PushBody,
}

/// What goes to whom.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::web) struct PushBody {
    /// 1 one user, 2 every user of the app, 3 every user of every app, 4 who joined a topic, 5 a list of users.
    #[schema(minimum = 1, maximum = 5, example = 1)]
    r#type: i64,
    /// The receiver, for type 1; ignored elsewhere.
    #[schema(max_length = 64, example = "liangjf")]
    uuid: Option<String>,
    /// The receivers, for type 5; at most 10,000.
    uuids: Option<Vec<String>>,
    /// The topic, for type 4.
    #[schema(max_length = 64)]
    topic: Option<String>,
    /// The message, at most 1 MiB.
    #[schema(example = "hello world 123")]
    content: Option<String>,
    /// The message in base64, instead of `content`. Version 0 clients get what is not UTF-8 as base64 too.
    content_base64: Option<String>,
    /// Seconds; 0: does not expire. At most 604,800 (7 days).
    #[schema(example = 3600)]
    expire_time: Option<u64>,
    /// Keep it for receivers that are away, until acknowledged.
    offline_push: Option<bool>,
    /// What a connection that cannot take any more does with it, unless it is kept.
    slow: Option<Slow>,
}

/// What a connection with a full outbox does with a live message.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::web) enum Slow {
    /// Drop what has waited longest.
    DropOldest,
    /// Drop this one.
    DropNewest,
    /// Close the connection.
    Close,
}

impl PushRequest {
    /// Checks in the forerunner's order (tag, type, receiver, content, expiry). The push has no id and app id yet.
    pub(super) fn check(self, config: &Config, now_ms: i64) -> Result<Push, ApiError> {
        let Self { tag, body } = self;
        check_name(number::TAG_MISSING, "tag", &tag)?;
        let mut push = Push { tag, accepted_at_ms: now_ms, ..Push::default() };
        match body.r#type {
            1 => push.users = vec![body.user()?],
            2 | 3 => {}
            4 => push.topic = body.topic()?,
            5 => push.users = body.users(config.users_max)?,
            _ => {
                let text = "body.type must be 1 to 5";
                return Err(ApiError::invalid(number::TYPE_UNKNOWN, "body.type", text));
            }
        }
        push.r#type = body.r#type as u32;
        push.offline_push = body.offline_push.unwrap_or(false);
        push.slow = body.slow_policy() as i32;
        let expire_time = body.expire_time();
        push.content = body.content(config.content_bytes_max)?;
        push.expire_time = expire_time?;
        if push.expire_time > 0 {
            push.expires_at_ms = now_ms + i64::from(push.expire_time) * 1_000;
        }
        Ok(push)
    }
}

impl PushBody {
    fn user(&self) -> Result<String, ApiError> {
        let user = self.uuid.clone().unwrap_or_default();
        check_name(number::UUID_MISSING, "body.uuid", &user)?;
        Ok(user)
    }

    fn topic(&self) -> Result<String, ApiError> {
        let topic = self.topic.clone().unwrap_or_default();
        check_name(number::TOPIC_MISSING, "body.topic", &topic)?;
        Ok(topic)
    }

    /// Each user once, in the order given.
    fn users(&self, users_max: usize) -> Result<Vec<String>, ApiError> {
        const FIELD: &str = "body.uuids";
        let users = self.uuids.as_deref().unwrap_or_default();
        if users.is_empty() {
            return Err(ApiError::invalid(number::UUID_MISSING, FIELD, "body.uuids is missing"));
        }
        if users.len() > users_max {
            let text = format!("body.uuids has more than {users_max} users");
            return Err(ApiError::invalid(number::BAD_BODY, FIELD, text));
        }
        let mut seen = rustc_hash::FxHashSet::default();
        let mut unique = Vec::with_capacity(users.len());
        for user in users {
            check_name(number::UUID_MISSING, FIELD, user)?;
            if seen.insert(user.as_str()) {
                unique.push(user.clone());
            }
        }
        Ok(unique)
    }

    fn expire_time(&self) -> Result<u32, ApiError> {
        let seconds = self.expire_time.unwrap_or(0);
        if seconds > EXPIRE_TIME_MAX {
            let text = "body.expireTime is over 604800 seconds (7 days)";
            return Err(ApiError::invalid(number::EXPIRE_TIME_OVER, "body.expireTime", text));
        }
        Ok(seconds as u32)
    }

    fn slow_policy(&self) -> SlowPolicy {
        match self.slow {
            None | Some(Slow::DropOldest) => SlowPolicy::DropOldest,
            Some(Slow::DropNewest) => SlowPolicy::DropNewest,
            Some(Slow::Close) => SlowPolicy::Close,
        }
    }

    fn content(self, bytes_max: usize) -> Result<Bytes, ApiError> {
        let content = match (self.content, self.content_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(encoded)) => decode(&encoded)?,
            (None, None) => Bytes::new(),
            (Some(_), Some(_)) => {
                let text = "body.content and body.contentBase64 exclude each other";
                return Err(ApiError::invalid(number::BAD_BODY, "body.contentBase64", text));
            }
        };
        if content.is_empty() {
            let text = "body.content is missing";
            return Err(ApiError::invalid(number::CONTENT_MISSING, "body.content", text));
        }
        if content.len() > bytes_max {
            let text = format!("body.content is longer than {bytes_max} bytes");
            let error = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, number::BAD_BODY, text);
            return Err(error.with_field("body.content"));
        }
        Ok(content)
    }
}

fn decode(encoded: &str) -> Result<Bytes, ApiError> {
    match STANDARD.decode(encoded) {
        Ok(content) => Ok(content.into()),
        Err(error) => {
            Err(ApiError::invalid(number::BAD_BODY, "body.contentBase64", error.to_string()))
        }
    }
}
