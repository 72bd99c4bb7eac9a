//! Joins and leaves of topics.

use super::replay::{Replay, Walk};
use super::*;
use crate::error::Result;
use gpusher_proto::data::{Channel, Head};
use gpusher_proto::gateway::{Answer, ChannelKind, Join, Leave};
use login::code;

impl Core {
    pub(super) fn on_join(&mut self, join: Join) {
        let Some(session) = self.sessions.get(join.conn) else { return };
        let channel = Channel {
            kind: ChannelKind::Topic as i32,
            app_id: session.device.app_id,
            name: join.topic,
        };
        let (conn, request, since) = (join.conn, join.request, join.since);
        self.joins.push(JoinAsk { conn, request, channel, since });
    }

    pub(super) fn on_leave(&mut self, leave: Leave) {
        self.answer(leave.conn, leave.request, code::DONE, 0);
    }

    pub(super) fn on_join_heads(&mut self, asks: Vec<JoinAsk>, heads: Result<Vec<Head>>) {
        let Ok(heads) = heads else {
            for ask in asks {
                self.answer(ask.conn, ask.request, code::NOT_AVAILABLE, 0);
            }
            return;
        };
        for (ask, head) in asks.into_iter().zip(heads) {
            match ask.since.filter(|&since| since < head.last) {
                Some(since) => self.replay_topic(ask, since, head.last),
                None => self.answer(ask.conn, ask.request, code::DONE, head.last),
            }
        }
    }

    fn replay_topic(&mut self, ask: JoinAsk, since: u64, last: u64) {
        let Some(session) = self.sessions.get_mut(ask.conn) else { return };
        let mut walk = Walk::new(ask.channel, since, last);
        walk.join = Some(ask.request);
        match session.phase {
            Phase::Live => {
                self.start_replay(ask.conn, Replay::of(vec![walk]), false);
            }
            _ => session.rare_mut().joins.push(walk),
        }
    }

    pub(super) fn answer(&mut self, conn: u64, request: u64, code: u32, value: u64) {
        self.command(conn, command::Kind::Answer(Answer { conn, request, code, value }));
    }
}
