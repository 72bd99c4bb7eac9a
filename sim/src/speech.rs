//! What model clients say and hear, whichever version they speak.

use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{ChannelKind, RawFrame, Target, position_of, v0};

/// Channels with cursors.
pub const KINDS: [ChannelKind; 3] = [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone];

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its id.
    pub message: u64,
    /// Channel and sequence.
    pub kind: ChannelKind,
    /// The sequence.
    pub seq: u64,
    /// In a log.
    pub kept: bool,
    /// Topic, or empty.
    pub topic: String,
}

/// A frame from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Logged in.
    Welcome {
        /// What positions are positions of.
        epoch: u64,
    },
    /// A message.
    Push(Delivered),
    /// A tombstone.
    Recall(u64),
    /// An answer to a request.
    Answer {
        /// Which.
        request: u64,
        /// 0: done.
        code: u16,
        /// Message id, or a topic's last sequence.
        value: u64,
    },
    /// A replay is over.
    Synced,
    /// The end.
    Close(u16),
    /// Anything else.
    Other,
}

/// A frame and where it lies in the stream.
#[derive(Debug, Clone)]
pub struct Framed {
    /// First byte.
    pub start: usize,
    /// Behind the last one.
    pub end: usize,
    /// What it says.
    pub told: Told,
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A message.
    Send,
    /// A topic.
    Join(String),
    /// No topic any more.
    Leave(String),
    /// A replay.
    Sync,
}

/// A request's frame; none where version 0 has none. `name`: app, user:name or topic:name.
pub(crate) fn frame_of(
    version: u8,
    number: u64,
    request: &Request,
    since: Option<u64>,
    name: &str,
) -> Option<Vec<u8>> {
    let target = match name.split_once(':') {
        Some(("user", name)) => (Target::User, name),
        Some(("topic", name)) => (Target::Topic, name),
        _ => (Target::Application, ""),
    };
    let content = b"from a client";
    if version == 0 {
        let (frame_type, body) = match request {
            Request::Send => {
                let body = v0::Upstream::new(target.0, target.1, content).ok()?.to_json();
                (v0::FrameType::General, body)
            }
            Request::Sync => (v0::FrameType::Sync, Vec::new()),
            Request::Join(_) | Request::Leave(_) => return None,
        };
        return Some(v0::Frame::from_client(frame_type, number, &body).to_vec());
    }
    let frame = match request {
        Request::Send => {
            ClientFrame::Send { request: number, target: target.0, name: target.1, content }
        }
        Request::Join(topic) => ClientFrame::Join { request: number, topic, since },
        Request::Leave(topic) => ClientFrame::Leave { request: number, topic },
        Request::Sync => ClientFrame::Sync,
    };
    frame.to_vec().ok()
}

/// What a frame from the gateway says.
pub(crate) fn understand(frame: RawFrame<'_>) -> Result<Told, String> {
    match frame {
        RawFrame::V0(frame) => understand_v0(&frame),
        RawFrame::V1(frame) => {
            let frame = ServerFrame::decode(frame).map_err(|error| format!("{error:?}"))?;
            Ok(match frame {
                ServerFrame::Welcome(welcome) => Told::Welcome { epoch: welcome.epoch },
                ServerFrame::Push(push) => Told::Push(Delivered {
                    message: push.message_id,
                    kind: push.position.kind,
                    seq: push.position.seq,
                    kept: push.kept,
                    topic: push.topic.to_owned(),
                }),
                ServerFrame::Recall { message_id, .. } => Told::Recall(message_id),
                ServerFrame::Answer { request, code, value } => {
                    Told::Answer { request, code, value }
                }
                ServerFrame::Synced { .. } => Told::Synced,
                ServerFrame::Close(close) => Told::Close(close.reason),
                _ => Told::Other,
            })
        }
    }
}

fn understand_v0(frame: &v0::Frame<'_>) -> Result<Told, String> {
    match frame.frame_type {
        v0::FrameType::Heartbeat => Ok(Told::Welcome { epoch: 0 }),
        v0::FrameType::Sync => Ok(Told::Answer { request: frame.stream_id, code: 0, value: 0 }),
        v0::FrameType::Ack => {
            let answer = v0::Answer::decode(frame.body).map_err(|error| format!("{error:?}"))?;
            let (code, value) = (answer.code, answer.msg_id);
            Ok(Told::Answer { request: frame.stream_id, code, value })
        }
        v0::FrameType::General => {
            if let Ok(refusal) = v0::Refusal::decode(frame.body)
                && !frame.body.windows(6).any(|part| part == b"msgSeq")
            {
                return Ok(Told::Close(refusal.code));
            }
            let push = v0::Push::decode(frame.body).map_err(|error| format!("{error:?}"))?;
            let position = position_of(push.msg_seq).ok_or("a msgSeq of no channel")?;
            Ok(Told::Push(Delivered {
                message: push.msg_id,
                kind: position.kind,
                seq: position.seq,
                kept: push.offline_push,
                topic: push.topic.to_string(),
            }))
        }
    }
}
