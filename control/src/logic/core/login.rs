//! Logins: bound first, then asked about, then admitted and replayed to.

use super::cursor::furthest;
use super::replay::{Replay, Walk};
use super::session::resume;
use super::*;
use gpusher_proto::data::{Channel, ConnKey, Head, Route};
use gpusher_proto::gateway::{Admit, ChannelKind, Kick, Position, SyncStart};

/// Codes of proto/WIRE.md section 4 that logic gives.
pub(super) mod code {
    pub(crate) const DONE: u32 = 0;
    pub(crate) const TOO_LARGE: u32 = 3;
    pub(crate) const KICKED: u32 = 200;
    pub(crate) const REPLACED: u32 = 201;
    pub(crate) const KICK_LOOP: u32 = 202;
    pub(crate) const OVERLOADED: u32 = 401;
    pub(crate) const NOT_AVAILABLE: u32 = 403;
    pub(crate) const NO_SUCH_TARGET: u32 = 404;
}

/// Do not come back.
const ADVICE_STAY_AWAY: u32 = 2;
/// When a refused login may try again: spread over a second by the connection's number.
const RETRY_MS: u32 = 2_000;

/// A login in line. A gateway announces a million at once: what is in the session is not held a second time.
#[derive(Debug)]
pub(super) struct Waiting {
    conn: u64,
    /// Of which report: the line may hold one of a session that was announced again since, and that stands in line itself.
    login: u32,
    again: bool,
    /// Epoch and positions, if the client named any.
    resume: Option<Box<(u64, Vec<Position>)>>,
}

impl Waiting {
    fn new(opened: Opened, login: u32) -> Self {
        let Opened { conn, again, epoch, resume, .. } = opened;
        let resume = (!resume.is_empty()).then(|| Box::new((epoch, resume)));
        Self { conn, login, again, resume }
    }

    fn opened(self, session: &Session) -> Opened {
        let (epoch, resume) = self.resume.map(|named| *named).unwrap_or_default();
        Opened { again: self.again, epoch, resume, ..session.opened() }
    }
}

impl Core {
    pub(super) fn on_opened(&mut self, key: LinkKey, opened: Opened) {
        self.count(Count::Logins, 1);
        let waiting = self.logins.len() + self.link(key).early.len();
        if !opened.again && waiting >= self.limits.logins_waiting {
            self.count(Count::LoginsOverloaded, 1);
            return self.refuse(opened.conn, code::OVERLOADED, "too many logins");
        }
        if !opened.again
            && let Err(delay_ms) = self.admission.take(self.now.mono_ms)
        {
            self.count(Count::LoginsDeferred, 1);
            let text = "too many logins at once: come back later";
            return self.refuse_for(opened.conn, code::OVERLOADED, delay_ms, text);
        }
        // Only told apart from others of the same connection.
        let session = Session::new(&opened, self.new_job() as u32);
        let is_watched = !opened.again && !session.device.is_nameless();
        if is_watched && self.kick_loops.is_loop(self.now.mono_ms, &session.device) {
            self.count(Count::KickLoops, 1);
            return self.refuse(opened.conn, code::KICK_LOOP, "this device keeps replacing itself");
        }
        let login = session.login;
        self.forget_session(opened.conn);
        self.sessions.insert(session);
        let link = self.link(key);
        *link.sessions.entry(opened.app_id).or_default() += 1;
        self.log_in(Waiting::new(opened, login));
    }

    /// Puts a login in line, or has it wait for its gateway's lease.
    fn log_in(&mut self, login: Waiting) {
        let gateway = ConnId::from_raw(login.conn).gateway();
        let key = self.gateways.get(&gateway);
        match key.and_then(|key| self.links.get_mut(key)).filter(|link| !link.leased) {
            Some(link) => link.early.push(login),
            None => self.logins.push_back(login),
        }
    }

    fn refuse(&mut self, conn: u64, code: u32, text: &str) {
        let spread_ms = (conn >> 20) as u32 % 1_000;
        let delay_ms = match code {
            code::KICK_LOOP => self.limits.kick_loop_delay_ms,
            _ => RETRY_MS + spread_ms,
        };
        self.refuse_for(conn, code, delay_ms, text);
    }

    fn refuse_for(&mut self, conn: u64, code: u32, delay_ms: u32, text: &str) {
        let text = text.to_owned();
        let admit = Admit { conn, code, text, delay_ms, ..Admit::default() };
        self.command(conn, command::Kind::Admit(admit));
    }

    pub(super) fn take_logins(&mut self) -> Option<Work> {
        let mut asks = Vec::new();
        while asks.len() < self.limits.login_batch {
            let Some(login) = self.logins.pop_front() else { break };
            match self.sessions.get(login.conn).filter(|session| session.login == login.login) {
                Some(session) if session.closed => {
                    // Its gateway's lease may have been registered again with its route.
                    self.unbind_session(login.conn);
                    self.remove_session(login.conn);
                }
                Some(session) => asks.extend(self.login_ask(session, login)),
                None => {}
            }
        }
        (!asks.is_empty()).then_some(Work::Login(asks))
    }

    fn login_ask(&self, session: &Session, login: Waiting) -> Option<LoginAsk> {
        let opened = login.opened(session);
        let gateway = ConnId::from_raw(opened.conn).gateway();
        let link = self.links.get(self.gateways.get(&gateway)?)?;
        let route = Route {
            conn: opened.conn,
            app_id: opened.app_id,
            user: opened.user.clone(),
            device: opened.device.clone(),
            gateway,
            gateway_epoch: link.epoch,
            version: opened.version,
            since_ms: opened.at_ms,
        };
        let pending = self.pending(&session.device);
        Some(LoginAsk { opened, route, login: session.login, pending })
    }

    pub(super) fn on_login(&mut self, answer: LoginAnswer) {
        let LoginAnswer { opened, login, replaced, cursors, mut heads } = answer;
        let conn = opened.conn;
        self.replace(&opened, &replaced);
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.login != login || session.phase != Phase::Opening {
            return;
        }
        if std::mem::take(&mut session.rebind) {
            return self.log_in(Waiting::new(opened, login));
        }
        if session.closed {
            self.unbind_session(conn);
            self.remove_session(conn);
            return;
        }
        let device = session.device.clone();
        // Sent after the heads were read and before this connection is a member: it is only in the log.
        for (channel, head) in heads.iter_mut().enumerate() {
            let tail = consume::tail_key(channel, opened.app_id);
            let tail = tail.and_then(|key| self.tails.get(&key)).map_or(0, |tail| tail.last);
            head.last = head.last.max(tail);
        }
        // What moved before the store was asked is in the answer; what moved since is still here.
        let cursors = furthest(cursors, &self.pending(&device));
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let (from, resumed) = match opened.again {
            true => (session.take_known().unwrap_or(cursors), Vec::new()),
            false => resume(&opened, self.store_epoch, &cursors, &heads),
        };
        session.acked = from;
        session.handed = from;
        if !opened.again {
            let epoch = self.store_epoch;
            let (app_head, everyone_head) = (heads[1].last, heads[2].last);
            let announcement = opened.announcement;
            let heads = Admit { app_head, everyone_head, ..Admit::default() };
            let admit = Admit { conn, epoch, resumed, announcement, ..heads };
            self.command(conn, command::Kind::Admit(admit));
        } else if opened.announcement != 0 {
            let start = SyncStart { conn, announcement: opened.announcement };
            self.command(conn, command::Kind::SyncStart(start));
        }
        self.replay_login(&opened, &from, &heads);
        for channel in 0..3 {
            // A position that the client named is an acknowledgement.
            if from[channel] > cursors[channel] {
                self.advance_cursor(conn, channel, from[channel]);
            }
        }
    }

    fn replay_login(&mut self, opened: &Opened, from: &Positions, heads: &[Head; 3]) {
        let channels = channels_of(opened.app_id, &opened.user);
        let walks = channels
            .into_iter()
            .enumerate()
            .map(|(index, channel)| {
                let mut walk = Walk::new(channel, from[index], heads[index].last);
                // Only here: the heads are the store's. Other walks end where the log does, which may be after their `head`.
                walk.ended |= self.quiet.covers(&walk.channel, walk.after, walk.head);
                walk
            })
            .collect();
        let mut replay = Replay::of(walks);
        if let Some(session) = self.sessions.get_mut(opened.conn) {
            (replay.requests, replay.gap) = session.take_early();
        }
        // A login holds from the start; a session announced again may or may not.
        let holds = !opened.again || opened.announcement != 0;
        self.start_replay(opened.conn, replay, holds);
    }

    /// Neither the routes nor the store answered: a new login may come again later, an old session stays in line.
    pub(super) fn on_login_failed(&mut self, LoginFailure { ask, replaced }: LoginFailure) {
        let conn = ask.opened.conn;
        // Without a route nothing reaches them any more: they have to know.
        self.replace(&ask.opened, &replaced);
        if ask.opened.again {
            // A later report stands in line itself.
            if self.sessions.get(conn).is_some_and(|session| session.login == ask.login) {
                self.logins.push_back(Waiting::new(ask.opened, ask.login));
            }
            return;
        }
        if self.sessions.get(conn).is_some_and(|session| session.login == ask.login) {
            self.count(Count::LoginsUnavailable, 1);
            self.unbind_session(conn);
            self.remove_session(conn);
            self.refuse(conn, code::NOT_AVAILABLE, "the service is not available");
        }
    }

    /// Connections that are not bound any more because of a login: older ones of the same device, the oldest of a user with too
    /// many, or the login itself if the device has a younger one.
    fn replace(&mut self, opened: &Opened, replaced: &[Route]) {
        for route in replaced {
            // It ended on its own, only its route was still there.
            if self.is_alone() && self.sessions.get(route.conn).is_none_or(|session| session.closed)
            {
                continue;
            }
            self.count(Count::Replaced, 1);
            let device = Device::new(route.app_id, &route.user, &route.device);
            if !device.is_nameless() && route.device == opened.device {
                self.kick_loops.replaced(self.now.mono_ms, &device);
            }
            self.kick_replaced(route);
        }
    }

    /// It has lost its route to another connection: nothing would reach it any more.
    pub(super) fn kick_replaced(&mut self, route: &Route) {
        let kick = Kick {
            conn: route.conn,
            reason: code::REPLACED,
            advice: ADVICE_STAY_AWAY,
            delay_ms: 0,
            text: "another connection of this device or user has logged in".to_owned(),
        };
        self.command(route.conn, command::Kind::Kick(kick));
    }

    pub(super) fn unbind_session(&mut self, conn: u64) {
        let gateway = ConnId::from_raw(conn).gateway();
        let link = self.gateways.get(&gateway).and_then(|key| self.links.get(key));
        let (Some(link), Some(session)) = (link, self.sessions.get(conn)) else { return };
        self.unbinds.push(ConnKey {
            conn,
            app_id: session.device.app_id,
            user: session.device.user().to_owned(),
            gateway_epoch: link.epoch,
        });
    }
}

/// The three channels with cursors, in the order of their kinds.
pub fn channels_of(app_id: u32, user: &str) -> [Channel; 3] {
    let channel = |kind: ChannelKind, app_id, name: &str| Channel {
        kind: kind as i32,
        app_id,
        name: name.to_owned(),
    };
    [
        channel(ChannelKind::Own, app_id, user),
        channel(ChannelKind::App, app_id, ""),
        channel(ChannelKind::Everyone, 0, ""),
    ]
}
