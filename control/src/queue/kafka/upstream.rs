//! Clients' messages for applications, in topics that applications read with any client of Kafka.
//!
//! The value is JSON, as `GET /v1/upstream` has it, with the app; the key is app and user, so that a user's messages stay in order.

use super::layout::Placed;
use crate::web::content::Content;
use gpusher_proto::data::UpstreamMessage;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where the app's number goes in the name of a topic.
const APP: &str = "{app}";

/// A message as applications read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Value<'a> {
    /// Of the message; decimal digits, so that readers of JSON keep it exact.
    id: String,
    app: u32,
    uuid: &'a str,
    device: &'a str,
    /// Unix milliseconds.
    at: i64,
    #[serde(flatten)]
    content: Content,
}

/// Messages by topic, each user's in the order given.
pub(super) fn place(topic: &str, messages: &[UpstreamMessage]) -> BTreeMap<String, Vec<Placed>> {
    let mut topics: BTreeMap<String, Vec<Placed>> = BTreeMap::new();
    for message in messages {
        let topic = topic.replace(APP, &message.app_id.to_string());
        topics.entry(topic).or_default().push(placed(message));
    }
    topics
}

fn placed(message: &UpstreamMessage) -> Placed {
    let value = Value {
        id: message.id.to_string(),
        app: message.app_id,
        uuid: &message.user,
        device: &message.device,
        at: message.at_ms,
        content: Content::from(&message.content[..]),
    };
    let payload = serde_json::to_vec(&value).expect("strings and numbers serialise");
    let key = format!("{}/{}", message.app_id, message.user);
    Placed { partition: None, key, payload: payload.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64, app_id: u32, content: &'static [u8]) -> UpstreamMessage {
        UpstreamMessage {
            position: 0,
            id,
            app_id,
            user: "alice".into(),
            device: "phone".into(),
            content: content.into(),
            at_ms: 5,
        }
    }

    #[test]
    fn topics_are_the_apps_or_shared() {
        let messages = [message(1, 7, b"hi"), message(2, 8, &[0xff]), message(3, 7, b"ho")];
        let topics = place("up-{app}", &messages);
        let sizes: Vec<_> = topics.iter().map(|(name, list)| (&name[..], list.len())).collect();
        assert_eq!(sizes, [("up-7", 2), ("up-8", 1)]);
        let shared = place("up", &messages);
        assert_eq!(
            shared["up"].iter().map(|it| &it.key[..]).collect::<Vec<_>>(),
            ["7/alice", "8/alice", "7/alice"]
        );
        let text = |n: usize| String::from_utf8_lossy(&shared["up"][n].payload).into_owned();
        assert_eq!(
            text(0),
            r#"{"id":"1","app":7,"uuid":"alice","device":"phone","at":5,"content":"hi"}"#
        );
        assert_eq!(
            text(1),
            r#"{"id":"2","app":8,"uuid":"alice","device":"phone","at":5,"contentBase64":"/w=="}"#
        );
    }
}
