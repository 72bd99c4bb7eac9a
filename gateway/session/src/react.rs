//! What a frame does, by version and state.

use crate::event::{Event, Login, Upstream};
use crate::partial::Partial;
use crate::session::{Session, Spoken, State, Turn};
use gpusher_proto::wire::v1::{CAPABILITY_ZLIB, ClientFrame, frame_type};
use gpusher_proto::wire::{
    ChannelKind, Code, Positions, RawFrame, WireError, inflate, position_of, v0, v1,
};
use std::borrow::Cow;

const UNEXPECTED: WireError = WireError::new(Code::UnexpectedFrame, "not at this moment");

impl Session {
    pub(crate) fn react(
        &mut self,
        frame: RawFrame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), WireError> {
        match (frame, self.state) {
            (RawFrame::V0(frame), State::AwaitLogin) => self.login_v0(frame, turn),
            (RawFrame::V0(frame), State::Admitted) => self.react_v0(frame, turn),
            (RawFrame::V1(frame), State::AwaitLogin | State::Admitted) => {
                if !allowed(self.state, frame.frame_type) {
                    return Err(UNEXPECTED);
                }
                self.react_v1(ClientFrame::decode(frame)?, turn)
            }
            (_, State::Pending | State::Closing) => unreachable!("nothing is split in this state"),
        }
    }

    /// Any type will do. A login that is refused here is told so, as one that is refused later.
    fn login_v0(&mut self, frame: v0::Frame<'_>, turn: &mut Turn<'_>) -> Result<(), WireError> {
        self.state = State::Pending;
        self.partial = Some(Partial::of_login(frame.stream_id));
        let body = body_of(&frame, turn.limits.login_body_bytes_max)?;
        let login = v0::Login::decode(&body)?;
        (turn.on)(Event::Login(Login {
            version: v0::VERSION,
            app_id: login.app_id,
            user: &login.uuid,
            device: "",
            token: &login.token,
            key: &login.key,
            epoch: 0,
            resume: Positions::EMPTY,
        }));
        Ok(())
    }

    fn react_v0(&mut self, frame: v0::Frame<'_>, turn: &mut Turn<'_>) -> Result<(), WireError> {
        match frame.frame_type {
            v0::FrameType::General => {
                self.take_token(turn)?;
                let body = body_of(&frame, turn.limits.body_bytes_max)?;
                let upstream = v0::Upstream::decode(&body)?;
                (turn.on)(Event::Upstream(Upstream {
                    request: frame.stream_id,
                    target: upstream.target()?,
                    name: upstream.name(),
                    content: &upstream.content()?,
                    answer: frame.wants_answer,
                }));
            }
            v0::FrameType::Heartbeat => {
                self.take_token(turn)?;
                v0::Frame::from_server(v0::FrameType::Heartbeat, frame.stream_id, &[])
                    .encode(turn.replies);
            }
            v0::FrameType::Ack => {
                let position = position_of(frame.stream_id)
                    .ok_or(WireError::new(Code::Malformed, "stream id is no push's"))?;
                if position.kind != ChannelKind::Topic {
                    (turn.on)(Event::Ack(position));
                }
            }
            v0::FrameType::Sync => {
                self.take_token(turn)?;
                (turn.on)(Event::Sync { request: Some(frame.stream_id) });
            }
        }
        Ok(())
    }

    fn react_v1(&mut self, frame: ClientFrame<'_>, turn: &mut Turn<'_>) -> Result<(), WireError> {
        match frame {
            ClientFrame::Login(login) => self.login_v1(login, turn),
            ClientFrame::Heartbeat { acks } => {
                self.take_token(turn)?;
                v1::ServerFrame::Heartbeat.encode(turn.replies);
                acks.iter().for_each(|position| (turn.on)(Event::Ack(position)));
            }
            ClientFrame::Ack { positions } => {
                positions.iter().for_each(|position| (turn.on)(Event::Ack(position)));
            }
            ClientFrame::Send { request, target, name, content } => {
                self.take_token(turn)?;
                let upstream = Upstream { request, target, name, content, answer: true };
                (turn.on)(Event::Upstream(upstream));
            }
            ClientFrame::Join { request, topic, since } => {
                self.take_token(turn)?;
                (turn.on)(Event::Join { request, topic, since });
            }
            ClientFrame::Leave { request, topic } => {
                self.take_token(turn)?;
                (turn.on)(Event::Leave { request, topic });
            }
            ClientFrame::Sync => {
                self.take_token(turn)?;
                (turn.on)(Event::Sync { request: None });
            }
            ClientFrame::Bye => {
                self.end();
                (turn.on)(Event::Bye);
            }
        }
        Ok(())
    }

    fn login_v1(&mut self, login: v1::Login<'_>, turn: &mut Turn<'_>) {
        self.state = State::Pending;
        if turn.limits.zlib && login.capabilities & CAPABILITY_ZLIB != 0 {
            self.spoken = Spoken::V1Zlib;
        }
        (turn.on)(Event::Login(Login {
            version: v1::VERSION,
            app_id: login.app_id,
            user: login.user,
            device: login.device,
            token: login.token,
            key: "",
            epoch: login.epoch,
            resume: login.resume,
        }));
    }

    /// Acknowledgements are free: a client may answer every push with one, and the server set that pace.
    fn take_token(&mut self, turn: &Turn<'_>) -> Result<(), WireError> {
        let limits = turn.limits;
        if self.rate.try_take(turn.now_ms, limits.frames_per_second, limits.frames_burst) {
            Ok(())
        } else {
            Err(WireError::new(Code::RateLimited, "too many frames a second"))
        }
    }
}

/// Version 1 frame types by state; of those that clients send at all, see [`ClientFrame::decode`].
fn allowed(state: State, frame_type: u8) -> bool {
    match state {
        State::AwaitLogin => frame_type == frame_type::LOGIN,
        State::Admitted => frame_type != frame_type::LOGIN,
        State::Pending | State::Closing => false,
    }
}

fn body_of<'a>(frame: &v0::Frame<'a>, bytes_max: u32) -> Result<Cow<'a, [u8]>, WireError> {
    if frame.compressed {
        inflate(frame.body, bytes_max as usize).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(frame.body))
    }
}
