//! Logic without I/O, tasks or a clock of its own: reports of gateways, records of the queue and answers of the store go in,
//! commands for gateways and work for the data layer come out.
//!
//! The shell (`logic::run`) turns it with the real world; a simulation can turn it with any other.
//!
//! Three orders keep the promises:
//! - a kept message is in its log before its receivers are looked up, and a login's route is bound before its log is read: whichever comes first, the
//!   message arrives;
//! - the end of a replay is not told while a batch of records is between its append and its deliveries: what the replay has read of it is then
//!   in the connection's hold, and dropped as a duplicate;
//! - a record is committed when each gateway that it went to has answered for it or lost its link.

pub mod admission;
#[cfg(test)]
mod bounds;
mod connections;
mod consume;
pub mod cursor;
pub mod job;
mod joins;
pub mod kick_loop;
#[cfg(test)]
mod late_answers;
mod leases;
pub mod link;
mod login;
pub mod nameless;
mod outcome;
pub mod plan;
mod recall;
pub mod redeliver;
pub mod replay;
mod replaying;
pub mod sequence;
pub mod session;
pub mod sessions;
mod shared;
#[cfg(test)]
mod simulation;
pub mod status;
mod sweep;
mod upstream;
pub mod withdrawal;
pub mod work;

pub use crate::device::Device;
pub use cursor::{Positions, furthest};
pub use link::LinkKey;
pub use login::channels_of;
pub use plan::{Prepared, PreparedPush, channel_kind, is_expired};
pub use sequence::Blocks;

use super::counters::{Count, Counters};
use super::limits::Limits;
use crate::message_id::MessageIds;
use admission::Admission;
use consume::Tail;
use cursor::CursorWrites;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::data::{ConnKey, Record, UpstreamMessage};
use gpusher_proto::gateway::{App, Batch, Opened, command, event};
use gpusher_proto::gateway::{Hello, Report};
use job::Progress;
use kick_loop::KickLoops;
use link::Link;
use replay::Quiet;
use rustc_hash::FxHashMap;
use session::{Phase, Session};
use sessions::Sessions;
use status::Deltas;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use withdrawal::{Recent, Withdrawn};
use work::*;

/// The time, given from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Never set back; from any beginning.
    pub mono_ms: u64,
    /// Unix time.
    pub unix_ms: i64,
}

/// The whole state of a logic instance.
pub struct Core {
    limits: Limits,
    counters: Arc<Counters>,
    ids: Arc<MessageIds>,
    /// Of the store's logs.
    store_epoch: u64,
    /// No other instance is known from the configuration.
    alone: bool,
    /// Kept pushes have been sent out: a gateway that is linked from here on may have missed some.
    has_sent: bool,
    /// By gateway whose link was lost: the first record of which it may have missed a kept push, or a recall. It is not committed before the gateway has been asked to
    /// announce everybody again, so that another instance takes the record up if this one dies first.
    owed: BTreeMap<u32, u64>,
    now: Now,
    busy: FxHashMap<Lane, usize>,

    links: BTreeMap<LinkKey, Link>,
    gateways: FxHashMap<u32, LinkKey>,
    /// The table that gateways have.
    apps: Vec<App>,
    /// Sessions from before this instance began may be announced until then.
    unknown_until_ms: u64,
    /// Gateways whose links were lost, and until when their sessions may be announced again.
    unlinked: BTreeMap<u32, u64>,
    closing: Vec<LinkKey>,
    leases: VecDeque<LeaseAsk>,
    announcements: Vec<Announcement>,

    incoming: Vec<Record>,
    /// Records that an earlier process may have taken and not committed.
    repeats_left: usize,
    /// A batch is between its append and its deliveries, and has kept messages.
    preparing_kept: bool,
    blocks: Option<Blocks>,
    progress: Progress,
    next_job: u64,
    tails: FxHashMap<(usize, u32), Tail>,
    recent: Recent,
    withdrawn: Withdrawn,
    /// By gateway: which process its last link was to, and when that ended.
    links_lost: FxHashMap<u32, (u64, u64)>,
    retries: Vec<RetryAsk>,
    /// Connections that a look-up has found for a live message, by its record; forgotten when that is committed.
    retried: BTreeSet<(u64, u64)>,

    sessions: Sessions,
    logins: VecDeque<login::Waiting>,
    admission: Admission,
    kick_loops: KickLoops,
    unbinds: Vec<ConnKey>,
    cursors: CursorWrites,
    cursors_due_ms: u64,

    replay_queue: VecDeque<u64>,
    reads: VecDeque<u64>,
    replaying: usize,
    finishing: Vec<u64>,
    quiet: Quiet,
    joins: Vec<JoinAsk>,
    sweep_slot: usize,
    swept_ms: u64,
    dead: VecDeque<DeadAsk>,

    publishes: Vec<UpstreamAsk<Record>>,
    files: Vec<UpstreamAsk<UpstreamMessage>>,
    upstream_count: usize,
    upstream_bytes: usize,

    statuses: Deltas,
    statuses_due_ms: u64,
}

impl Core {
    /// A logic without gateways or sessions. `store_epoch` is that of the logs.
    pub fn new(
        limits: Limits,
        counters: Arc<Counters>,
        ids: Arc<MessageIds>,
        store_epoch: u64,
        alone: bool,
    ) -> Self {
        Self {
            counters,
            ids,
            store_epoch,
            alone,
            has_sent: false,
            owed: BTreeMap::new(),
            now: Now::default(),
            busy: FxHashMap::default(),
            links: BTreeMap::new(),
            gateways: FxHashMap::default(),
            apps: Vec::new(),
            unknown_until_ms: 0,
            unlinked: BTreeMap::new(),
            closing: Vec::new(),
            leases: VecDeque::new(),
            announcements: Vec::new(),
            incoming: Vec::new(),
            repeats_left: consume::repeats_max(&limits, alone),
            preparing_kept: false,
            blocks: Some(Blocks::new(limits.sequence_blocks)),
            progress: Progress::default(),
            next_job: 1,
            tails: FxHashMap::default(),
            recent: Recent::new(limits.recallable),
            withdrawn: Withdrawn::new(limits.recallable),
            links_lost: FxHashMap::default(),
            retries: Vec::new(),
            retried: BTreeSet::new(),
            sessions: Sessions::default(),
            logins: VecDeque::new(),
            admission: Admission::new(limits.logins_per_s),
            kick_loops: KickLoops::new(limits.replaced_devices, limits.replaced_per_minute),
            unbinds: Vec::new(),
            cursors: CursorWrites::default(),
            cursors_due_ms: 0,
            replay_queue: VecDeque::new(),
            reads: VecDeque::new(),
            replaying: 0,
            finishing: Vec::new(),
            quiet: Quiet::default(),
            joins: Vec::new(),
            sweep_slot: 0,
            swept_ms: 0,
            dead: VecDeque::new(),
            publishes: Vec::new(),
            files: Vec::new(),
            upstream_count: 0,
            upstream_bytes: 0,
            statuses: Deltas::new(limits.status_rows),
            statuses_due_ms: 0,
            limits,
        }
    }

    /// Sets the time; to be called before anything else is told.
    pub fn set_time(&mut self, now: Now) {
        if self.now == Now::default() {
            self.unknown_until_ms = now.mono_ms + self.limits.lease_ms;
        }
        self.now = now;
    }

    /// A gateway reports.
    pub fn on_report(&mut self, key: LinkKey, report: Report) {
        for event in report.events {
            if let (Some(kind), true) = (event.kind, self.links.contains_key(&key)) {
                self.on_event(key, kind);
            }
        }
    }

    fn on_event(&mut self, key: LinkKey, kind: event::Kind) {
        if let Some(conn) = conn_of(&kind)
            && ConnId::from_raw(conn).gateway() != self.links[&key].gateway
        {
            return self.count(Count::EventsForeign, 1);
        }
        match kind {
            event::Kind::Opened(opened) => self.on_opened(key, opened),
            event::Kind::Closed(closed) => self.on_closed(closed),
            event::Kind::Outcome(outcome) => self.on_outcome(key, outcome),
            event::Kind::Ack(ack) => self.on_ack(ack),
            event::Kind::Upstream(upstream) => self.on_upstream(upstream),
            event::Kind::Join(join) => self.on_join(join),
            event::Kind::Leave(leave) => self.on_leave(leave),
            event::Kind::SyncRequest(request) => self.on_sync_request(request),
            event::Kind::Drained(drained) => self.on_drained(drained),
            event::Kind::Membership(membership) => self.on_membership(key, membership),
            event::Kind::Announced(it) => self.on_gateway_announced(key, it.again),
            event::Kind::Load(load) => self.on_load(key, load),
            event::Kind::Farewell(farewell) => self.on_farewell(&farewell),
            event::Kind::Moved(moved) => self.on_moved(key, &moved),
            event::Kind::Handed(handed) => self.on_handed(&handed),
            event::Kind::Logics(logics) => self.on_logics(key, logics),
        }
    }

    /// Work for a lane, if it has a place free and something to do.
    pub fn take_work(&mut self, lane: Lane) -> Option<Work> {
        if self.busy.get(&lane).is_some_and(|&busy| busy >= lane.width()) {
            return None;
        }
        let work = match lane {
            Lane::Prepare => self.take_records(),
            Lane::Login => self.take_logins(),
            Lane::Unbind => take_all(&mut self.unbinds).map(Work::Unbind),
            Lane::Read => self.take_reads(),
            Lane::Cursor => self.take_cursors(),
            Lane::Status => self.take_statuses(),
            Lane::Announce => self.take_announcements(),
            Lane::Publish => take_all(&mut self.publishes).map(Work::Publish),
            Lane::File => take_all(&mut self.files).map(Work::File),
            Lane::Dead => self.take_dead(),
            Lane::Retry => take_all(&mut self.retries).map(Work::Retry),
            Lane::Join => take_all(&mut self.joins).map(Work::Join),
            Lane::Lease => self.leases.pop_front().map(Work::Lease),
        }?;
        *self.busy.entry(lane).or_default() += 1;
        Some(work)
    }

    /// The data layer answered.
    pub fn on_done(&mut self, done: Done) {
        let busy = self.busy.entry(done.lane()).or_default();
        *busy = busy.checked_sub(1).expect("done follows its work");
        match done {
            Done::Prepare { prepared, blocks } => self.on_prepared(prepared, blocks),
            Done::Login(Ok(answers)) => answers.into_iter().for_each(|it| self.on_login(it)),
            Done::Login(Err(asks)) => asks.into_iter().for_each(|it| self.on_login_failed(it)),
            Done::Unbind | Done::Detached => {}
            Done::Read(pages) => pages.into_iter().for_each(|(ask, page)| self.on_page(ask, page)),
            Done::Cursor(written) => self.on_cursors_written(written),
            Done::Status(written) => self.on_statuses_written(written),
            Done::Announce(announced) => self.on_announced(announced),
            Done::Publish(asks, result) => self.on_upstream_done(asks, result),
            Done::File(asks, result) => self.on_upstream_done(asks, result),
            Done::Dead(answers) => answers.into_iter().for_each(|it| self.on_dead(it)),
            Done::Retry(answers) => answers.into_iter().for_each(|it| self.on_located(it)),
            Done::Join(asks, heads) => self.on_join_heads(asks, heads),
            Done::Attached(key, result) => self.on_lease_attached(key, result),
            Done::Renewed(key, held, missing) => self.on_lease_renewed(key, held, missing),
        }
    }

    /// Commands that a gateway has credit for.
    pub fn take_batch(&mut self, key: LinkKey) -> Option<Batch> {
        let (batch, sent) = self.links.get_mut(&key)?.take_batch()?;
        sent.into_iter().for_each(|offset| self.progress.finish_part(offset));
        Some(batch)
    }

    /// Links that may have something to send.
    pub fn link_keys(&self) -> Vec<LinkKey> {
        self.links.keys().copied().collect()
    }

    /// The offset up to which the queue is done, if it moved.
    pub fn take_commit(&mut self) -> Option<u64> {
        let offset = self.progress.committable()?;
        self.retried = self.retried.split_off(&(offset + 1, 0));
        Some(offset)
    }

    /// Links to be cut.
    pub fn take_closing(&mut self) -> Vec<LinkKey> {
        std::mem::take(&mut self.closing)
    }

    /// Gateways that have announced their sessions.
    pub fn links_announced(&self) -> usize {
        self.links.values().filter(|link| link.announced).count()
    }

    /// Whether nothing is under way to the data layer, and nothing waits to be written.
    pub fn is_flushed(&self) -> bool {
        let writes = [Lane::Cursor, Lane::Status, Lane::Unbind, Lane::Publish, Lane::File];
        let idle = |lane: &Lane| self.busy.get(lane).is_none_or(|&busy| busy == 0);
        writes.iter().all(idle)
            && self.cursors.is_empty()
            && self.statuses.is_empty()
            && self.unbinds.is_empty()
            && self.publishes.is_empty()
            && self.files.is_empty()
    }

    fn link(&mut self, key: LinkKey) -> &mut Link {
        self.links.get_mut(&key).expect("checked where the event came in")
    }

    /// Sends a command to the gateway that has a connection, if it is linked.
    fn command(&mut self, conn: u64, kind: command::Kind) {
        let gateway = ConnId::from_raw(conn).gateway();
        if let Some(link) = self.gateways.get(&gateway).and_then(|key| self.links.get_mut(key)) {
            link.push(kind, None);
        }
    }

    fn count(&self, count: Count, by: u64) {
        self.counters.add(count, by);
    }

    fn new_job(&mut self) -> u64 {
        self.next_job += 1;
        self.next_job - 1
    }
}

fn take_all<T>(list: &mut Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| std::mem::take(list))
}

/// The connection that an event is about.
fn conn_of(kind: &event::Kind) -> Option<u64> {
    match kind {
        event::Kind::Opened(event) => Some(event.conn),
        event::Kind::Closed(event) => Some(event.conn),
        event::Kind::Ack(event) => Some(event.conn),
        event::Kind::Upstream(event) => Some(event.conn),
        event::Kind::Join(event) => Some(event.conn),
        event::Kind::Leave(event) => Some(event.conn),
        event::Kind::SyncRequest(event) => Some(event.conn),
        event::Kind::Drained(event) => Some(event.conn),
        event::Kind::Farewell(event) => Some(event.conn),
        event::Kind::Moved(event) => Some(event.conn),
        event::Kind::Outcome(_)
        | event::Kind::Membership(_)
        | event::Kind::Announced(_)
        | event::Kind::Handed(_)
        | event::Kind::Logics(_)
        | event::Kind::Load(_) => None,
    }
}
