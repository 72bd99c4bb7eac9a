//! Token, verdict, admission.

use super::identity::Identity;
use super::members::Joined;
use super::react::{Asked, LoginAsked};
use super::table::{Flags, Hot, Phase};
use super::{Clock, Shard};
use crate::mail::{Apps, FromShard, LinkId};
use crate::metrics::ShardCount;
use crate::token::TokenError;
use gpusher_proto::gateway::{Admit, Opened};
use gpusher_proto::wire::v1::{Close, Resume, ResumeResult};
use gpusher_proto::wire::{Advice, ChannelKind, Code, Position, WireError};
use gpusher_session::Admission;
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;

/// Logins that wait for their verdict, as they were reported: another link may have to be told again.
#[derive(Debug, Default)]
pub(super) struct Logins(pub(super) FxHashMap<u32, Waiting>);

/// One of them.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) opened: Box<Opened>,
    /// Monotonic.
    pub(super) since_ms: u64,
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// The first frame is complete. From here on the connection holds.
    pub(super) fn on_login(&mut self, slot: u32, login: LoginAsked) {
        let LoginAsked { mut opened, token } = login;
        if self.apps.as_ref().is_some_and(|apps| tag_of(apps, opened.app_id).is_none()) {
            return self.refuse(slot, Code::UnknownApp, "no app has this id");
        }
        let unix_s = self.now.unix_ms / 1_000;
        match self.config.token.check(opened.app_id, &opened.user, &token, unix_s) {
            Ok(()) => {}
            Err(error @ TokenError::Bad) => {
                return self.refuse(slot, Code::BadToken, &error.to_string());
            }
            Err(error @ TokenError::Expired) => {
                return self.refuse(slot, Code::TokenExpired, &error.to_string());
            }
        }
        self.counts.add(ShardCount::Logins, 1);
        let index = slot as usize;
        let encoding = self.table.session[index].encoding().expect("a login names its version");
        self.table.set_encoding(slot, encoding);
        self.table.phase[index] = Phase::Pending;
        self.table.heard[index] = self.now.tick();
        self.table.since[index] = self.now.moment();
        self.table.app[index] = opened.app_id;
        self.table.identity[index] = Identity::new(&opened.user, &opened.device);
        opened.conn = self.table.id(slot).raw();
        let at_ms = self.config.dates.date(self.now.unix_ms);
        opened.at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        self.hold(slot, Flags::HOLD_SYNC);
        self.report_opened(slot, opened.clone());
        let since_ms = self.now.monotonic_ms;
        self.logins.0.insert(slot, Waiting { opened: opened.into(), since_ms });
    }

    /// Tells the session's logic, if any is attached. It will end the hold.
    pub(super) fn report_opened(&mut self, slot: u32, opened: Opened) {
        let Some(link) = self.link_of(slot) else { return };
        self.table.flags[slot as usize].set(Flags::OPENED, true);
        self.table.flags[slot as usize].set(Flags::SYNC_DUE, true);
        self.reports.push(FromShard::Opened { link, opened });
    }

    fn refuse(&mut self, slot: u32, code: Code, text: &str) {
        self.counts.add(ShardCount::LoginsRefused, 1);
        self.leave_with(slot, code, text);
    }

    /// Logic's verdict.
    pub(super) fn on_admit(&mut self, link: LinkId, admit: Admit) {
        let conn = gpusher_proto::conn_id::ConnId::from_raw(admit.conn);
        let Some(slot) = self.find_of(link, conn) else { return };
        // A refusal does no harm, whenever it was said.
        if admit.code == 0 && !self.counts_word(slot, admit.announcement) {
            return;
        }
        // A second link may give a verdict on what the first has admitted.
        if self.table.phase[slot as usize] != Phase::Pending {
            return;
        }
        let code = u16::try_from(admit.code).unwrap_or(u16::MAX);
        if code == Code::Done.number() {
            let resumed: Vec<Resume> = admit.resumed.iter().filter_map(resume_of).collect();
            self.admit(slot, admit.epoch, &resumed);
            return self.note_missed(slot, (admit.app_head, admit.everyone_head));
        }
        self.counts.add(ShardCount::LoginsRefused, 1);
        let advice = Code::from_number(code).and_then(Code::advice).unwrap_or(Advice::Reconnect);
        let (delay_ms, text) = (admit.delay_ms, &*admit.text);
        self.leave(slot, Close { reason: code, advice, delay_ms, target: "", text });
    }

    /// Makes it a member. It goes on holding until its replay is complete.
    fn admit(&mut self, slot: u32, epoch: u64, resumed: &[Resume]) {
        let index = slot as usize;
        let app = self.table.app[index];
        self.table.phase[index] = Phase::Member;
        self.table.heard[index] = self.now.tick();
        self.table.hot[index].set(Hot::MEMBER, true);
        self.members.admit(slot, app);
        let login = self.logins.0.remove(&slot).expect("a pending login waits for its verdict");
        self.join_by_key(slot, &login.opened.key);
        let admission = Admission { connection: self.table.id(slot), epoch, resumed };
        self.welcome(slot, &admission);
    }

    /// What another logic has had fanned out before the connection was a member, and after the replay that begins was thought of. It may be gone by now.
    fn note_missed(&mut self, slot: u32, heads: (u64, u64)) {
        if self.table.phase[slot as usize] != Phase::Member {
            return;
        }
        let sent = self.members.sent(self.table.app[slot as usize]);
        let channels =
            [(ChannelKind::App, heads.0, sent.0), (ChannelKind::Everyone, heads.1, sent.1)];
        for (kind, head, sent) in channels.into_iter().filter(|&(_, head, sent)| sent > head) {
            self.counts.add(ShardCount::LoginsOvertaken, 1);
            self.miss(slot, Position { kind, seq: head + 1 }, sent);
        }
    }

    /// Version 0 subscribes by its login: to its app, by the app's tag, or to a topic.
    fn join_by_key(&mut self, slot: u32, key: &str) {
        let app = self.table.app[slot as usize];
        let tag = self.apps.as_ref().and_then(|apps| tag_of(apps, app));
        if !key.is_empty() && tag != Some(key) {
            let joined = self.members.join(slot, app, key, self.config.topics_max.max(1));
            assert_eq!(joined, Joined::New, "a new member has joined nothing");
        }
    }

    /// Answers the client, and acts on what it has sent in the meantime.
    fn welcome(&mut self, slot: u32, admission: &Admission<'_>) {
        let session = &mut self.table.session[slot as usize];
        let before = session.partial_bytes();
        let (mut replies, mut asked) = (Vec::new(), Vec::new());
        let now_ms = self.now.monotonic_ms;
        let mut on = |event: gpusher_session::Event<'_>| asked.push(Asked::of(event));
        let limits = &self.config.session;
        let result: Result<(), WireError> =
            session.admit(admission, now_ms, limits, &mut replies, &mut on);
        self.partial_bytes = self.partial_bytes - before + session.partial_bytes();
        self.stage_control(slot, replies.into());
        asked.into_iter().for_each(|asked| self.react(slot, asked));
        if let Err(error) = result {
            self.on_fault(slot, error.code);
        }
    }

    /// Admits logins that have waited long enough while no logic is attached. They hold until one is, and has replayed.
    pub(super) fn admit_alone(&mut self) {
        if !self.links.is_empty() || self.logins.0.is_empty() {
            return;
        }
        let (now_ms, wait_ms) = (self.now.monotonic_ms, self.config.admit_alone_ms);
        let due = self.logins.0.iter().filter(|(_, login)| login.since_ms + wait_ms <= now_ms);
        let due: Vec<u32> = due.map(|(&slot, _)| slot).collect();
        for slot in due {
            self.counts.add(ShardCount::LoginsAlone, 1);
            self.admit(slot, 0, &[]);
        }
    }
}

/// The tag of an app; none if it is unknown.
fn tag_of(apps: &Apps, app: u32) -> Option<&str> {
    let index = apps.apps.binary_search_by_key(&app, |&(id, _)| id).ok()?;
    Some(&apps.apps[index].1)
}

fn resume_of(resumed: &gpusher_proto::gateway::Resumed) -> Option<Resume> {
    Some(Resume {
        kind: ChannelKind::try_from(resumed.channel).ok()?,
        result: ResumeResult::from_number(u8::try_from(resumed.result).ok()?)?,
        seq: resumed.seq,
    })
}
