//! A logic process: the production core, its works performed by production code against gated stores, its streams in the simulated network.

use crate::canary::Canary;
use crate::clock::SimClock;
use crate::network::{Heard, Stream};
use crate::random::Random;
use crate::share::Share;
use crate::store::EPOCH;
use crate::words::in_words;
use gpusher_control::logic::core::work::{Done, Lane, Work};
use gpusher_control::logic::core::{Core, LinkKey};
use gpusher_control::logic::{Counters, Data, Limits, perform};
use gpusher_control::message_id::MessageIds;
use gpusher_proto::gateway::{App, Attach, ToGateway, from_gateway, to_gateway};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Between two ticks of the core.
const TICK_MS: u64 = 50;

type Working = Pin<Box<dyn Future<Output = Done> + Send>>;

/// A running logic.
pub struct Logic {
    core: Core,
    data: Data,
    name: String,
    peers: Vec<String>,
    /// What it has of the queue.
    pub share: Share,
    clock: SimClock,
    epoch: u64,
    works: Vec<Working>,
    /// Streams to gateways.
    pub streams: Vec<Stream>,
    next_key: u64,
    commit: Option<u64>,
    tick_at_ms: u64,
    read_from_ms: u64,
    reading: bool,
    limits: Limits,
    counters: Arc<Counters>,
    /// So many messages in a thousand are damaged on the way.
    pub damage_permille: u64,
    /// Those that were.
    pub damaged: Rc<Cell<u64>>,
    /// Live messages of which receivers are looked up again.
    pub retried: BTreeSet<u64>,
    /// A bug to be found.
    pub canary: Option<Canary>,
}

/// Limits at which things happen within minutes and with few messages.
pub fn limits() -> Limits {
    Limits {
        batch_records: 5,
        jobs_open: 64,
        held_back: 1_000,
        backlog_commands: 64,
        login_batch: 3,
        replays: 2,
        page_messages: 3,
        page_bytes: 1_000,
        redeliver_ms: 10_000,
        redeliver_attempts: 3,
        sweep_ms: 1_000,
        sequence_block: 4,
        replaced_per_minute: 1_000,
        ..Limits::default()
    }
}

impl Logic {
    /// Starts a process, one of those named; `life`: how many there have been.
    pub fn start(
        life: u32,
        (name, peers): (String, Vec<String>),
        data: Data,
        share: Share,
        clock: &SimClock,
        apps: Vec<App>,
    ) -> Self {
        let limits = limits();
        let counters = data.counters.clone();
        let ids = Arc::new(MessageIds::with_clock(life, || 0));
        let mut core = Core::new(limits.clone(), counters.clone(), ids, EPOCH, peers.len() <= 1);
        core.set_time(clock.now());
        core.on_apps(apps);
        Self {
            core,
            data,
            name,
            peers,
            share,
            clock: clock.clone(),
            epoch: clock.latest_unix() as u64,
            works: Vec::new(),
            streams: Vec::new(),
            next_key: 1,
            commit: None,
            tick_at_ms: 0,
            read_from_ms: clock.ms() + limits.start_wait_ms,
            reading: false,
            limits,
            counters,
            damage_permille: 0,
            damaged: Rc::default(),
            retried: BTreeSet::new(),
            canary: None,
        }
    }

    /// Opens a stream; the caller has attached it to the gateway.
    pub fn connect(
        &mut self,
        gateway: usize,
        ends: gpusher_gateway::LinkEnds,
        apps: Vec<App>,
        random: &mut Random,
        owed: Vec<u64>,
    ) {
        let key = LinkKey(self.next_key);
        self.next_key += 1;
        let mut stream = Stream::new(key, gateway, ends);
        stream.canary = self.canary;
        stream.damage_permille = self.damage_permille;
        stream.damaged = self.damaged.clone();
        stream.owed = owed;
        let attach =
            Attach { logic: self.name.clone(), epoch: self.epoch, peers: self.peers.clone(), apps };
        let attach = ToGateway { kind: Some(to_gateway::Kind::Attach(attach)) };
        stream.send(attach, self.clock.ms(), random);
        self.streams.push(stream);
    }

    /// Hears what has come from gateways; in a few words, too.
    pub fn hear(&mut self, random: &mut Random) -> Vec<String> {
        let now_ms = self.clock.ms();
        self.core.set_time(self.clock.now());
        let mut over = Vec::new();
        let mut words = Vec::new();
        for stream in &mut self.streams {
            let key = stream.key;
            for heard in stream.hear(now_ms, random) {
                match heard {
                    Heard::Over => over.push(key),
                    Heard::Message(message) => match message.kind {
                        Some(from_gateway::Kind::Hello(hello)) if !stream.greeted => {
                            stream.greeted = true;
                            words.push(format!("{} hello", hello.gateway));
                            self.core.on_link_up(key, &hello);
                        }
                        _ if !stream.greeted => over.push(key),
                        Some(from_gateway::Kind::Report(report)) => {
                            words.extend(report.events.iter().filter_map(in_words));
                            self.core.on_report(key, report);
                        }
                        Some(from_gateway::Kind::Credit(credit)) => {
                            self.core.on_credit(key, credit.commands);
                        }
                        Some(from_gateway::Kind::Hello(_)) | None => {}
                    },
                }
            }
        }
        for key in over {
            words.push(format!("{key:?} is down"));
            self.core.on_link_down(key, false);
            self.streams.retain(|stream| stream.key != key);
        }
        words
    }

    /// Takes records, works, ticks; lets out what the core has to say.
    pub fn turn(&mut self, gateways: usize, random: &mut Random) {
        self.core.set_time(self.clock.now());
        if self.clock.ms() >= self.tick_at_ms {
            self.tick_at_ms = self.clock.ms() + TICK_MS;
            self.core.on_tick();
        }
        self.take_records(gateways);
        self.take_work();
        self.poll_works();
        self.take_work();
        self.send_batches(random);
        self.close_streams();
        self.commit = self.core.take_commit().or(self.commit);
        if random.permille(300) {
            self.commit_now();
        }
    }

    fn take_records(&mut self, gateways: usize) {
        let linked = gateways > 0 && self.core.links_announced() >= gateways;
        if linked {
            self.core.on_all_announced();
        }
        self.reading |= linked || self.clock.ms() >= self.read_from_ms;
        if self.reading && self.core.has_room() {
            let mut records = self.share.take(self.limits.batch_records);
            if !records.is_empty() {
                if self.canary == Some(Canary::SkipRecords) {
                    records.retain(|record| !record.offset.is_multiple_of(16));
                }
                self.core.on_records(records);
            }
        }
    }

    fn take_work(&mut self) {
        for lane in Lane::ALL {
            while let Some(work) = self.core.take_work(lane) {
                if let Work::Retry(asks) = &work {
                    self.retried.extend(asks.iter().map(|ask| ask.receivers.push.id));
                }
                self.works.push(Box::pin(perform(self.data.clone(), work)));
            }
        }
    }

    /// Goes on with works whose calls have been let on.
    fn poll_works(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut done = Vec::new();
        self.works.retain_mut(|work| match work.as_mut().poll(&mut context) {
            Poll::Ready(result) => {
                done.push(result);
                false
            }
            Poll::Pending => true,
        });
        done.into_iter().for_each(|done| self.core.on_done(done));
    }

    fn send_batches(&mut self, random: &mut Random) {
        for key in self.core.link_keys() {
            while let Some(batch) = self.core.take_batch(key) {
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.key == key) {
                    let message = ToGateway { kind: Some(to_gateway::Kind::Batch(batch)) };
                    stream.send(message, self.clock.ms(), random);
                }
            }
        }
    }

    fn close_streams(&mut self) {
        for key in self.core.take_closing() {
            self.streams.retain(|stream| stream.key != key);
        }
    }

    /// Writes the position that is due.
    pub fn commit_now(&mut self) {
        if let Some(offset) = self.commit.take() {
            self.share.commit(offset);
        }
    }

    /// The numbers of this instance.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether nothing is under way, as far as it can be seen from outside.
    pub fn is_idle(&self) -> bool {
        self.works.is_empty()
            && self.core.is_flushed()
            && self.streams.iter().all(|stream| stream.in_flight() == 0)
            && self.share.is_drained()
    }
}
