//! What applications and clients do.

use crate::population::{TOPICS, USERS};
use crate::speech::Request;
use crate::world::{GATEWAYS, World};
use gpusher_proto::data::{Job, KickJob, MessageKey, Push, Record, job};
use gpusher_proto::wire::v1::ClientFrame;

impl World {
    /// A few things at random.
    pub(crate) fn act(&mut self) {
        if self.random.permille(250) {
            self.push();
        }
        if self.random.permille(30) {
            self.recall();
        }
        if self.random.permille(4) {
            self.kick();
        }
        for index in 0..self.clients.len() {
            self.act_as(index);
        }
    }

    fn push(&mut self) {
        let kind = [1, 1, 1, 2, 2, 3, 4, 5][self.random.index(8)];
        let kept = self.random.permille(600);
        let lifetime = if self.random.permille(250) { self.random.between(1, 4_000) } else { 0 };
        self.push_one(kind, kept, lifetime);
    }

    /// Publishes a push; `lifetime_ms` 0: for ever. Its id.
    pub(crate) fn push_one(&mut self, r#type: u32, kept: bool, lifetime_ms: u64) -> u64 {
        let id = self.next_message;
        self.next_message += 1;
        let users = match r#type {
            1 => vec![(*self.random.pick(&USERS)).to_owned()],
            5 => USERS[..2 + self.random.index(3)].iter().map(|&user| user.to_owned()).collect(),
            _ => Vec::new(),
        };
        let topic = if r#type == 4 { *self.random.pick(&TOPICS) } else { "" };
        let large = !self.calm && self.random.permille(60);
        let length = if large { self.random.between(500, 3_000) } else { self.random.below(60) };
        let push = Push {
            id,
            r#type,
            app_id: if self.random.permille(200) { 7 } else { 1000 },
            users,
            topic: topic.to_owned(),
            content: vec![b'x'; length as usize].into(),
            expires_at_ms: if lifetime_ms == 0 {
                0
            } else {
                self.clock.unix() + lifetime_ms as i64
            },
            offline_push: kept,
            accepted_at_ms: self.clock.unix(),
            slow: self.random.below(2) as i32,
            ..Push::default()
        };
        let what = if kept { "kept" } else { "live" };
        let to = if push.users.is_empty() { push.topic.clone() } else { push.users.join(",") };
        let app_id = push.app_id;
        self.note(format_args!(
            "push {id} type {type} app {app_id} {what} to [{to}] lifetime {lifetime_ms} bytes {length}"
        ));
        self.publish_job(job::Kind::Push(push));
        id
    }

    /// Publishes a live push to every user of an app.
    pub(crate) fn push_to_all_users(&mut self, app_id: u32) {
        let id = self.next_message;
        self.next_message += 1;
        self.note(format_args!("push {id} type 5 app {app_id} live to all users"));
        let users = USERS.iter().map(|&user| user.to_owned()).collect();
        let content = vec![b'x'].into();
        let accepted_at_ms = self.clock.unix();
        let push =
            Push { id, r#type: 5, app_id, users, content, accepted_at_ms, ..Push::default() };
        self.publish_job(job::Kind::Push(push));
    }

    pub(crate) fn publish_job(&mut self, kind: job::Kind) {
        let record = Record { offset: 0, key: String::new(), job: Some(Job { kind: Some(kind) }) };
        self.publish(record);
    }

    pub(crate) fn recall(&mut self) {
        if self.next_message < 2 {
            return;
        }
        let back = self.random.below(self.next_message.min(12)).max(1);
        let id = self.next_message - back;
        if id == 0 {
            return;
        }
        self.note(format_args!("recall {id}"));
        self.publish_job(job::Kind::Recall(MessageKey { id }));
    }

    fn kick(&mut self) {
        let user = (*self.random.pick(&USERS)).to_owned();
        self.note(format_args!("kick {user}"));
        self.publish_job(job::Kind::Kick(KickJob { app_id: 1000, user, ..KickJob::default() }));
    }

    fn act_as(&mut self, index: usize) {
        if self.clients[index].conn.is_none() {
            if self.random.permille(25) {
                self.connect(index);
            }
            return;
        }
        match self.random.below(1_000) {
            0..3 => self.disconnect(index),
            3..8 => self.ask_something(index),
            8..12 => {
                let speeds = [usize::MAX, usize::MAX, 400, 60, 0];
                let speed = *self.random.pick(&speeds);
                self.clients[index].speed = speed;
                self.note(format_args!("client {index} reads {speed} bytes a step"));
            }
            12..14 => {
                let share = *self.random.pick(&[500, 500, 100, 0]);
                self.clients[index].ack_permille = share;
            }
            _ => {}
        }
    }

    /// A client connects to one of the gateways.
    pub(crate) fn connect(&mut self, index: usize) {
        let gateway = self.random.index(GATEWAYS);
        if self.gateways[gateway].process.is_none() {
            return;
        }
        let window = *self.random.pick(&[300, 2_000, 20_000]);
        let resume = self.random.permille(500);
        let repeats = self.repeats(gateway);
        let net = &mut self.net.borrow_mut();
        self.clients[index].connect(net, gateway, window, resume, repeats);
        let pipe = self.clients[index].conn.as_ref().map_or(0, |conn| conn.pipe);
        let profile = self.clients[index].profile.clone();
        self.trace.note(
            self.step,
            self.clock.ms() - 1_000_000,
            format_args!(
                "client {index} connects to {gateway}, pipe {pipe}, resume {resume}: {profile:?}"
            ),
        );
    }

    /// It goes: without a word, by closing, or with a BYE.
    pub(crate) fn disconnect(&mut self, index: usize) {
        let how = self.random.below(3);
        self.leave(index, how);
    }

    /// It goes in one of these ways.
    pub(crate) fn leave(&mut self, index: usize, how: u64) {
        let version = self.clients[index].profile.version;
        {
            let net = &mut self.net.borrow_mut();
            let client = &mut self.clients[index];
            let Some(pipe) = client.conn.as_ref().map(|conn| conn.pipe) else { return };
            match how {
                0 => {
                    net.pipes[pipe].reset = true;
                    net.pipes[pipe].up.clear();
                }
                1 if version == 1 => {
                    client.say(net, ClientFrame::Bye);
                    net.pipes[pipe].up_end = true;
                }
                _ => net.pipes[pipe].up_end = true,
            }
        }
        self.note(format_args!("client {index} leaves ({how})"));
        if let Some(conn) = self.clients[index].conn.take() {
            self.ghosts.push((index, conn));
        }
    }

    fn ask_something(&mut self, index: usize) {
        let topic = (*self.random.pick(&TOPICS)).to_owned();
        let since = self.random.permille(500).then(|| self.random.below(5));
        let to = *self.random.pick(&["app", "user:bob", "topic:news"]);
        let request = match self.random.below(6) {
            0 => Request::Sync,
            1 | 2 => Request::Join(topic),
            3 => Request::Leave(topic),
            _ => Request::Send,
        };
        self.note(format_args!("client {index} asks {request:?} since {since:?} to {to}"));
        self.clients[index].ask(&mut self.net.borrow_mut(), request, since, to);
    }
}
