//! A shard: one thread, one driver, one table of connections. No locks, nothing shared but mailboxes.
//!
//! [`Shard::turn`] holds all control flow. The other files are the steps a byte takes, in their order:
//!
//! | file | step |
//! | --- | --- |
//! | `accept` | a socket gets a slot |
//! | `receive` | bytes become what the client asks for |
//! | `react` | what it asks for becomes mail to the link, or an answer |
//! | `login` | token, verdict, admission |
//! | `command` | mail from the link |
//! | `deliver` | a message for named connections |
//! | `fanout` | a message for an app, a topic or everyone, in slices |
//! | `transmit` | frames to sockets; what a socket did not take |
//! | `flush` | outboxes to sockets that have room again |
//! | `hold` | replays: what is held, spilled, released |
//! | `announce`, `drain`, `deadlines` | what walks the table now and then |
//! | `retire` | the end of a connection |
//!
//! # Order
//! Frames for one connection leave in the order in which they were decided: while anything waits in its outbox, everything goes there. At most one
//! send or flush per slot is asked for in one turn. Jobs for one audience are worked off first in, first out; those for different
//! audiences, and unicasts, may pass each other: they are different channels.
//!
//! # Memory
//! See `table` for an idle connection, [`config::ShardConfig`] for the limits on everything else.

mod accept;
mod announce;
mod backlog;
mod clock;
mod command;
mod config;
mod dates;
mod deadlines;
mod deliver;
mod drain;
mod fanout;
mod flush;
mod hold;
mod identity;
mod jobs;
mod line;
mod login;
mod members;
mod parcel;
mod react;
mod receive;
mod retire;
mod roll;
mod table;
mod transmit;

#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use config::{ShardConfig, Slice};
pub use dates::LoginDates;
pub use table::BYTES_PER_CONNECTION;

use crate::links::{LinkId, LinkSet};
use crate::mail::{Apps, FromShard, ToLink, ToShard};
use crate::metrics::{ShardCount, ShardCounts};
use clock::Now;
use gpusher_proto::gateway::event::Kind as Event;
use gpusher_sys::driver::Driver;
use gpusher_sys::mailbox::Mailbox;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an idle shard waits before it tries again to hand its reports to a link that is behind.
const RETRY_MS: u64 = 2;

/// One shard. Made on the thread that turns it.
#[derive(Debug)]
pub struct Shard<D, C> {
    config: ShardConfig,
    driver: D,
    clock: C,
    now: Now,

    mailbox: Mailbox<ToShard>,
    to_link: ToLink,
    /// What this turn has to tell the link, and what it did not take before.
    reports: Vec<FromShard>,
    link_is_behind: bool,
    counts: Arc<ShardCounts>,

    links: Arc<LinkSet>,
    apps: Option<Arc<Apps>>,

    table: table::Table,
    members: members::Members,
    backlogs: backlog::Backlogs,
    jobs: jobs::Jobs,
    lines: line::Lines,

    intake: receive::Intake,
    logins: login::Logins,
    joins: react::Joins,
    floors: hold::Floors,
    outgoing: transmit::Outgoing,
    unicast: Option<deliver::Unicast>,
    /// Monotonic time of the last one, in milliseconds.
    last_unicast_ms: u64,
    leaving: retire::Leaving,
    announcing: Option<announce::Announcing>,
    /// Numbers given to announcements, and by slot the one whose answer is awaited.
    announcements: u32,
    expected_words: FxHashMap<u32, u32>,
    /// Number of the last gap that logic was told of.
    gaps_told: u32,
    draining: Option<drain::Draining>,
    acceptance: accept::Acceptance,
    sweep: deadlines::Sweep,
    paused: Vec<gpusher_proto::conn_id::ConnId>,
    partial_bytes: usize,
    stopping: bool,
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// A shard without connections. It accepts from its first turn on.
    pub fn new(
        config: ShardConfig,
        driver: D,
        clock: C,
        mailbox: Mailbox<ToShard>,
        to_link: ToLink,
        counts: Arc<ShardCounts>,
    ) -> Self {
        let now = Now::read(&clock);
        Self {
            table: table::Table::new(&config),
            members: members::Members::with_capacity(config.connections_max),
            sweep: deadlines::Sweep::new(now),
            config,
            driver,
            clock,
            now,
            mailbox,
            to_link,
            reports: Vec::new(),
            link_is_behind: false,
            counts,
            links: Arc::default(),
            apps: None,
            backlogs: backlog::Backlogs::default(),
            jobs: jobs::Jobs::default(),
            lines: line::Lines::default(),
            intake: receive::Intake::default(),
            logins: login::Logins::default(),
            joins: react::Joins::default(),
            floors: hold::Floors::default(),
            outgoing: transmit::Outgoing::default(),
            unicast: None,
            last_unicast_ms: 0,
            leaving: retire::Leaving::default(),
            announcing: None,
            announcements: 0,
            expected_words: FxHashMap::default(),
            gaps_told: 0,
            draining: None,
            acceptance: accept::Acceptance::default(),
            paused: Vec::new(),
            partial_bytes: 0,
            stopping: false,
        }
    }

    /// Turns until `ToShard::Stop` and every connection is closed, then reports `Stopped`.
    pub fn run(mut self) {
        while self.turn() {
            if self.lines.has_work() {
                // A push to one client takes several wake-ups on its way to a shard: none of them waits for more than one slice of a long fan-out.
                std::thread::yield_now();
            }
        }
        self.reports.push(FromShard::Stopped(self.config.shard, None));
        while !self.to_link.try_send(&mut self.reports) {
            std::thread::sleep(Duration::from_millis(RETRY_MS));
        }
    }

    /// One round: what came by mail, a slice of fan-out, the kernel, what happened there, deadlines. False when the shard has stopped.
    pub fn turn(&mut self) -> bool {
        self.now = Now::read(&self.clock);
        self.read_mail();
        self.send_staged();
        self.flush_listed();
        self.fan_out();

        self.enter_kernel();

        self.settle_sends();
        self.finish_jobs();
        self.act_on_events();
        self.check_deadlines();
        self.check_outboxes();
        self.close_doomed();
        self.announce_some();
        self.report();
        !self.has_stopped()
    }

    fn enter_kernel(&mut self) {
        self.acceptance.begin(&mut self.driver, self.now);
        let timeout = self.wait_time();
        let Self { driver, intake, table, config, clock, .. } = self;
        driver.turn(timeout, &mut |event| intake.note(event, table, &config.session, clock));
        self.mailbox.awake();
        self.now = Now::read(&self.clock);
        self.outgoing.turn_over(&mut self.table);
    }

    /// Nothing, while there is something to do; else until the next tick of deadlines.
    fn wait_time(&mut self) -> Duration {
        let busy = self.unicast.is_some()
            || self.outgoing.has_work()
            || self.lines.has_work()
            || self.announcing.is_some()
            || self.leaving.has_fresh();
        if busy || !self.mailbox.prepare_sleep() {
            return Duration::ZERO;
        }
        let tick_ms = Now::TICK_MS - self.now.monotonic_ms % Now::TICK_MS;
        let wait_ms = if self.reports.is_empty() { tick_ms } else { tick_ms.min(RETRY_MS) };
        Duration::from_millis(wait_ms)
    }

    /// Before the turn's events: what logic hears of a connection afterwards may be a consequence.
    fn finish_jobs(&mut self) {
        if self.links.are_several() {
            let handed = self.jobs.take_handed().into_iter();
            self.reports.extend(handed.map(|(link, handed)| FromShard::Event {
                link,
                app_id: 0,
                event: Event::Handed(handed),
            }));
        }
        self.reports.extend(self.jobs.take_done().map(FromShard::Done));
    }

    /// Hands what there is to tell to the link. If that is behind, everything is kept, and clients are read no further until it has caught up.
    fn report(&mut self) {
        let shard = self.config.shard;
        self.reports.extend(self.members.take_changes().map(|change| FromShard::Members {
            shard,
            app_id: change.app,
            topic: change.topic,
            members: change.members,
        }));
        self.link_is_behind = !self.to_link.try_send(&mut self.reports);
        if self.link_is_behind {
            self.counts.add(ShardCount::LinkFull, 1);
        } else {
            self.read_on();
        }
        self.set_gauges();
    }

    fn set_gauges(&self) {
        let set = |what, amount: usize| self.counts.set(what, amount as u64);
        set(ShardCount::Connections, self.table.used() as usize);
        set(ShardCount::Members, self.members.everyone() as usize);
        set(ShardCount::OutboxBytes, self.backlogs.bytes());
        set(ShardCount::PartialBytes, self.partial_bytes);
        set(ShardCount::JobsWaiting, self.jobs.len());
    }

    fn has_stopped(&self) -> bool {
        self.stopping && self.table.used() == 0
    }
}

impl<D: Driver, C> Shard<D, C> {
    /// Reports an event of a connection to the logic that has its session; false if none is attached.
    fn tell_logic(&mut self, slot: u32, event: Event) -> bool {
        let Some(link) = self.link_of(slot) else {
            self.counts.add(ShardCount::EventsUnlinked, 1);
            return false;
        };
        self.tell(slot, link, event);
        true
    }

    /// Reports an event of a connection to one of the logics.
    fn tell(&mut self, slot: u32, link: LinkId, event: Event) {
        let app_id = self.table.app[slot as usize];
        self.reports.push(FromShard::Event { link, app_id, event });
    }

    /// The logic that has the session.
    fn link_of(&self, slot: u32) -> Option<LinkId> {
        if self.links.is_empty() {
            return None;
        }
        self.links.pick(self.session_hash(slot))
    }

    fn session_hash(&self, slot: u32) -> u64 {
        let index = slot as usize;
        self.table.identity[index].session_hash(self.table.app[index])
    }
}

#[cfg(test)]
impl<D: Driver, C: Clock> Shard<D, C> {
    /// What must hold when nothing is under way and every socket takes what it is given: nothing is kept beside the table.
    ///
    /// # Errors
    /// What is kept all the same.
    fn check_idle(&self) -> Result<(), String> {
        let backlogs = self.backlogs.slots().count();
        if backlogs > 0 || self.backlogs.bytes() > 0 {
            return Err(format!("{backlogs} outboxes, {} bytes", self.backlogs.bytes()));
        }
        if self.jobs.len() > 0 || self.lines.has_work() || self.outgoing.has_work() {
            return Err(format!("{} jobs", self.jobs.len()));
        }
        for (slot, hot) in (0..).zip(&self.table.hot) {
            let is_member = self.table.phase[slot as usize] == table::Phase::Member;
            if hot.is_clear_member() != is_member {
                return Err(format!("slot {slot}: {hot:?}"));
            }
        }
        Ok(())
    }
}
