//! gpusher, version 1 of the wire.

use super::frames::frames;
use super::{Broken, CHANNELS, Heard, Protocol};
use crate::account::Account;
use crate::message::Stamp;
use bytes::Bytes;
use gpusher_proto::wire::v1::{ClientFrame, Login, ServerFrame};
use gpusher_proto::wire::{Advice, ChannelKind, Position, Positions, RawFrame, Target};

/// Number of the request to join, which alone of all answers stands for a welcome.
const JOIN_REQUEST: u64 = 0;

/// See the module.
#[derive(Debug)]
pub(super) struct V1 {
    account: Account,
    user: String,
    topic: String,
    published: u64,
}

impl V1 {
    pub(super) fn new(account: &Account) -> Self {
        let (user, topic) = (String::new(), String::new());
        Self { account: account.clone(), user, topic, published: JOIN_REQUEST }
    }

    fn hear(&self, frame: &ServerFrame<'_>, heard: &mut impl FnMut(Heard)) {
        match frame {
            ServerFrame::Push(push) => {
                let Position { kind, seq: sequence } = push.position;
                if push.kept && kind != ChannelKind::Topic {
                    heard(Heard::Kept { channel: kind as u8, sequence });
                }
                if let Some(stamp) = Stamp::parse(push.content) {
                    heard(Heard::Message { stamp, sequence });
                }
            }
            ServerFrame::Welcome(_) if self.account.topics == 0 => heard(Heard::Welcome),
            ServerFrame::Answer { request: JOIN_REQUEST, code, .. } => {
                heard(if *code == 0 { Heard::Welcome } else { Heard::End });
            }
            ServerFrame::Answer { code, .. } => heard(Heard::Published { accepted: *code == 0 }),
            ServerFrame::Close(close) => heard(match close.advice {
                Advice::Reconnect => Heard::ComeBack { after_ms: close.delay_ms },
                _ => Heard::End,
            }),
            _ => {}
        }
    }
}

impl Protocol for V1 {
    const CAN_PUBLISH: bool = true;

    fn log_in(&mut self, index: u32, out: &mut Vec<u8>) {
        self.user.clear();
        self.account.push_user(index, &mut self.user);
        let app_id = self.account.app_id;
        let token = self.account.token.issue(&self.user, app_id).expect("the secret is a secret");
        let login = Login {
            app_id,
            user: &self.user,
            device: "",
            token: &token,
            capabilities: 0,
            epoch: 0,
            resume: Positions::EMPTY,
        };
        ClientFrame::Login(login).encode(out).expect("names fit");
        if let Some(topic) = self.account.topic_of(index) {
            self.topic.clear();
            self.account.push_topic(topic, &mut self.topic);
            let join = ClientFrame::Join { request: JOIN_REQUEST, topic: &self.topic, since: None };
            join.encode(out).expect("names fit");
        }
    }

    fn read(
        &mut self,
        _index: u32,
        bytes: &[u8],
        heard: &mut impl FnMut(Heard),
    ) -> Result<usize, Broken> {
        frames(bytes, |frame| {
            let RawFrame::V1(frame) = frame else { return Err(Broken) };
            let frame = ServerFrame::decode(frame).map_err(|_| Broken)?;
            self.hear(&frame, heard);
            Ok(())
        })
    }

    fn heartbeat(&self) -> Option<Bytes> {
        let frame = ClientFrame::Heartbeat { acks: Positions::EMPTY };
        Some(frame.to_vec().expect("it is empty").into())
    }

    fn acknowledge(&self, highest: &[u64; CHANNELS], out: &mut Vec<u8>) {
        let kinds = [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone];
        let mut positions = [Position { kind: ChannelKind::Own, seq: 0 }; CHANNELS];
        let mut count = 0;
        for (kind, seq) in kinds.into_iter().zip(*highest).filter(|(_, seq)| *seq != 0) {
            positions[count] = Position { kind, seq };
            count += 1;
        }
        let frame = ClientFrame::Ack { positions: positions[..count].into() };
        frame.encode(out).expect("positions fit");
    }

    fn publish(&mut self, _index: u32, content: &str, out: &mut Vec<u8>) {
        self.published += 1;
        let frame = ClientFrame::Send {
            request: self.published,
            target: Target::Application,
            name: "",
            content: content.as_bytes(),
        };
        frame.encode(out).expect("contents are short");
    }
}
