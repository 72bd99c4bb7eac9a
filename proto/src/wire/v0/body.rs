//! The JSON bodies of version 0. Texts are borrowed from the body unless JSON escapes stand in the way.

use crate::gateway::Message;
use crate::wire::channel::{ChannelKind, Target, msg_seq};
use crate::wire::code::{Code, WireError};
use crate::wire::read::check_name;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `contentEncoding` of contents that are not UTF-8.
const BASE64: &str = "base64";

/// Body of the login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login<'a> {
    /// Number of the app.
    #[serde(default)]
    pub app_id: u32,
    /// The user.
    #[serde(default, borrow)]
    pub uuid: Cow<'a, str>,
    /// The app's tag, or a topic to join.
    #[serde(default, borrow)]
    pub key: Cow<'a, str>,
    /// From `POST /v1/token`.
    #[serde(default, borrow)]
    pub token: Cow<'a, str>,
}

impl<'a> Login<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// `missing_field` when one of the four is absent, empty or 0; `malformed` when it is not this JSON, or a name is too long.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let login: Self = from_json(body)?;
        let missing = |text| Err(WireError::new(Code::MissingField, text));
        match () {
            () if login.app_id == 0 => return missing("appId is required"),
            () if login.uuid.is_empty() => return missing("uuid is required"),
            () if login.key.is_empty() => return missing("key is required"),
            () if login.token.is_empty() => return missing("token is required"),
            () => {}
        }
        check_name(&login.uuid, "uuid is longer than 64 bytes")?;
        check_name(&login.key, "key is longer than 64 bytes")?;
        Ok(login)
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Body of a refused login.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal<'a> {
    /// From the table of codes.
    pub code: u16,
    /// For people.
    #[serde(borrow)]
    pub msg: Cow<'a, str>,
}

impl<'a> Refusal<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// `malformed` when it is not this JSON.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        from_json(body)
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Body of the acknowledgement frame that answers an upstream message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// From the table of codes; 0: done.
    pub code: u16,
    /// The message's id; 0 when there is none.
    #[serde(with = "decimal")]
    pub msg_id: u64,
}

impl Answer {
    /// Reads the body.
    ///
    /// # Errors
    /// `malformed` when it is not this JSON.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        from_json(body)
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Body of an upstream message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream<'a> {
    #[serde(rename = "type")]
    target: u32,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    uuid: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    content_encoding: Cow<'a, str>,
}

impl<'a> Upstream<'a> {
    /// A message for a user, a topic, or (then `name` is empty) the application.
    ///
    /// # Errors
    /// `malformed` for a name that its target does not allow.
    pub fn new(target: Target, name: &'a str, content: &'a [u8]) -> Result<Self, WireError> {
        target.check_name(name)?;
        let (uuid, topic) = match target {
            Target::Application => ("", ""),
            Target::User => (name, ""),
            Target::Topic => ("", name),
        };
        let (content, content_encoding) = text_of(content);
        let content_encoding = content_encoding.into();
        let (uuid, topic) = (uuid.into(), topic.into());
        Ok(Self { target: target as u32, uuid, topic, content, content_encoding })
    }

    /// Reads the body.
    ///
    /// # Errors
    /// `malformed` when it is not this JSON, names no known target, or has a name that the target does not allow.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let upstream: Self = from_json(body)?;
        upstream.target()?.check_name(upstream.name())?;
        Ok(upstream)
    }

    /// Where it goes.
    ///
    /// # Errors
    /// Not after [`Self::decode`] or [`Self::new`].
    pub fn target(&self) -> Result<Target, WireError> {
        Target::from_number(self.target).ok_or(WireError::malformed("unknown target"))
    }

    /// User or topic; empty for the application.
    pub fn name(&self) -> &str {
        match Target::from_number(self.target) {
            Some(Target::User) => &self.uuid,
            Some(Target::Topic) => &self.topic,
            _ => "",
        }
    }

    /// The content's bytes.
    ///
    /// # Errors
    /// `malformed` when it is not what its encoding says.
    pub fn content(&self) -> Result<Cow<'_, [u8]>, WireError> {
        bytes_of(&self.content, &self.content_encoding)
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Body of a push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Push<'a> {
    /// As the pusher gave it: 1 user, 2 app, 3 everyone, 4 topic, 5 list of users.
    #[serde(rename = "type")]
    pub push_type: u32,
    /// Channel and sequence, see [`msg_seq`].
    pub msg_seq: u64,
    /// The receiver, as the pusher gave it.
    #[serde(borrow)]
    pub uuid: Cow<'a, str>,
    /// The content as text; see [`Self::content`].
    #[serde(borrow)]
    content: Cow<'a, str>,
    /// Seconds, as the pusher gave it.
    pub expire_time: u32,
    /// Kept.
    pub offline_push: bool,
    /// Message id.
    #[serde(with = "decimal")]
    pub msg_id: u64,
    /// Of a push to a topic; else empty.
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    pub topic: Cow<'a, str>,
    /// The user who sent it, if one did; else empty.
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    pub sender: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "str::is_empty")]
    content_encoding: Cow<'a, str>,
}

impl<'a> Push<'a> {
    /// The body for a message.
    pub fn of(message: &'a Message) -> Self {
        let (content, content_encoding) = text_of(&message.content);
        let kind = ChannelKind::try_from(message.channel).unwrap_or(ChannelKind::Own);
        Self {
            push_type: message.r#type,
            msg_seq: msg_seq(kind, message.seq),
            uuid: message.uuid.as_str().into(),
            content,
            expire_time: message.expire_time,
            offline_push: message.kept,
            msg_id: message.id,
            topic: message.topic.as_str().into(),
            sender: message.sender.as_str().into(),
            content_encoding: content_encoding.into(),
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// `malformed` when it is not this JSON.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        from_json(body)
    }

    /// The content's bytes.
    ///
    /// # Errors
    /// `malformed` when it is not what its encoding says.
    pub fn content(&self) -> Result<Cow<'_, [u8]>, WireError> {
        bytes_of(&self.content, &self.content_encoding)
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// JSON has text, contents are bytes: what is not UTF-8 goes as base64, and says so.
fn text_of(content: &[u8]) -> (Cow<'_, str>, &'static str) {
    match std::str::from_utf8(content) {
        Ok(text) => (text.into(), ""),
        Err(_) => (BASE64_STANDARD.encode(content).into(), BASE64),
    }
}

fn bytes_of<'a>(content: &'a str, encoding: &str) -> Result<Cow<'a, [u8]>, WireError> {
    match encoding {
        "" => Ok(content.as_bytes().into()),
        BASE64 => BASE64_STANDARD
            .decode(content)
            .map(Cow::Owned)
            .map_err(|_| WireError::malformed("content is not base64")),
        _ => Err(WireError::malformed("unknown contentEncoding")),
    }
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body)
        .map_err(|_| WireError::malformed("body is not the JSON that its type has"))
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers always make JSON")
}

/// Ids are decimal strings: JSON readers round large numbers.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub(super) fn serialize<S: Serializer>(id: &u64, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}
