//! gpusher, version 0 of the wire: the forerunner's frame, with JSON in it.

use super::frames::frames;
use super::{Broken, CHANNELS, Heard, Protocol};
use crate::account::Account;
use crate::message::Stamp;
use bytes::Bytes;
use gpusher_proto::wire::RawFrame;
use gpusher_proto::wire::v0::{Answer, Frame, FrameType, Login, Refusal};

/// Stream ids of what the client sends, to tell the answers apart.
const LOGIN_STREAM: u64 = 1;
const HEARTBEAT_STREAM: u64 = 2;
const UPSTREAM_STREAM: u64 = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct V0 {
    account: Account,
    user: String,
    topic: String,
}

impl V0 {
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone(), user: String::new(), topic: String::new() }
    }
}

fn hear(frame: &Frame<'_>, heard: &mut impl FnMut(Heard)) {
    match frame.frame_type {
        FrameType::Heartbeat if frame.stream_id == LOGIN_STREAM => heard(Heard::Welcome),
        FrameType::General => {
            if let Some(stamp) = find_stamp(frame.body) {
                heard(Heard::Message { stamp, sequence: frame.stream_id });
            } else if frame.stream_id == LOGIN_STREAM && Refusal::decode(frame.body).is_ok() {
                heard(Heard::End);
            }
        }
        FrameType::Ack => {
            let accepted = Answer::decode(frame.body).is_ok_and(|answer| answer.code == 0);
            heard(Heard::Published { accepted });
        }
        FrameType::Heartbeat | FrameType::Sync => {}
    }
}

/// The content is found by how it begins, not by parsing JSON: the generator shares its cores with the server.
fn find_stamp(body: &[u8]) -> Option<Stamp> {
    let at = body.windows(4).position(|window| window == b"\"gp ")?;
    Stamp::parse(&body[at + 1..])
}

impl Protocol for V0 {
    const CAN_PUBLISH: bool = true;

    fn log_in(&mut self, index: u32, out: &mut Vec<u8>) {
        self.user.clear();
        self.account.push_user(index, &mut self.user);
        let Account { app_id, tag, .. } = &self.account;
        let token = self.account.token.issue(&self.user, *app_id).expect("the secret is a secret");
        let key = match self.account.topic_of(index) {
            None => tag,
            Some(topic) => {
                self.topic.clear();
                self.account.push_topic(topic, &mut self.topic);
                &self.topic
            }
        };
        let login = Login {
            app_id: *app_id,
            uuid: self.user.as_str().into(),
            key: key.as_str().into(),
            token: token.into(),
        };
        Frame::from_client(FrameType::Heartbeat, LOGIN_STREAM, &login.to_json()).encode(out);
    }

    fn read(
        &mut self,
        _index: u32,
        bytes: &[u8],
        heard: &mut impl FnMut(Heard),
    ) -> Result<usize, Broken> {
        frames(bytes, |frame| {
            let RawFrame::V0(frame) = frame else { return Err(Broken) };
            hear(&frame, heard);
            Ok(())
        })
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Frame::from_client(FrameType::Heartbeat, HEARTBEAT_STREAM, &[]).to_vec().into())
    }

    /// What the socket took counts as received.
    fn acknowledge(&self, _highest: &[u64; CHANNELS], _out: &mut Vec<u8>) {}

    fn publish(&mut self, _index: u32, content: &str, out: &mut Vec<u8>) {
        let body = format!(r#"{{"type":0,"content":"{content}"}}"#);
        Frame::from_client(FrameType::General, UPSTREAM_STREAM, body.as_bytes()).encode(out);
    }
}
