//! Events as lines: messages to the standard output, the rest to the standard error.

use gpusher_client::{ChannelKind, Event, Message};
use serde_json::json;
use std::io::{self, Write};

/// How messages are printed.
#[derive(Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Printer {
    /// Prints one event. Fails when nobody reads any more.
    pub(crate) fn print(self, event: &Event) -> io::Result<()> {
        match event {
            Event::Message(message) if self.json => line(&as_json(message)),
            Event::Message(message) => line(&as_text(message)),
            Event::Recalled { id } if self.json => {
                line(&json!({"recalled": id.to_string()}).to_string())
            }
            event => {
                if !self.quiet {
                    eprintln!("{}", notice(event));
                }
                Ok(())
            }
        }
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn channel(message: &Message) -> &'static str {
    match message.channel {
        ChannelKind::Own => "user",
        ChannelKind::App => "app",
        ChannelKind::Everyone => "everyone",
        ChannelKind::Topic => "topic",
    }
}

fn as_text(message: &Message) -> String {
    let mut text = format!("[{}", channel(message));
    if !message.topic.is_empty() {
        text += &format!(" {}", message.topic);
    }
    if !message.sender.is_empty() {
        text += &format!(" from {}", message.sender);
    }
    text + "] " + &String::from_utf8_lossy(&message.content)
}

fn as_json(message: &Message) -> String {
    let mut value = json!({
        "id": message.id.to_string(),
        "channel": channel(message),
        "seq": message.seq.to_string(),
        "kept": message.kept,
    });
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(topic) = text(&message.topic) {
        value["topic"] = topic.into();
    }
    if let Some(sender) = text(&message.sender) {
        value["sender"] = sender.into();
    }
    if let Some(at_ms) = message.expires_at_ms {
        value["expiresAt"] = at_ms.into();
    }
    match std::str::from_utf8(&message.content) {
        Ok(content) => value["content"] = content.into(),
        Err(_) => {
            let hex: String = message.content.iter().map(|byte| format!("{byte:02x}")).collect();
            value["contentHex"] = hex.into();
        }
    }
    value.to_string()
}

fn notice(event: &Event) -> String {
    match event {
        Event::Online { connection_id, lost } if lost.is_empty() => {
            format!("online (connection {connection_id:016x})")
        }
        Event::Online { lost, .. } => format!("online; messages are lost on {lost:?}"),
        Event::Synced => "up to date".into(),
        Event::Recalled { id } => format!("message {id} is withdrawn"),
        Event::TopicLost { topic, code } => format!("topic {topic} is lost: code {code}"),
        Event::Offline { reason, retry_in_ms } => {
            format!("offline: {reason}; again in {:.1} s", *retry_in_ms as f64 / 1_000.0)
        }
        Event::TokenNeeded { reason } => format!("another token is needed: {reason}"),
        Event::Ended(end) => format!("ended: {end}"),
        Event::Message(_) => String::new(),
    }
}
