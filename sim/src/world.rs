//! Everything together, and one step of it.

use crate::canary::Canary;
use crate::check::Settling;
use crate::client::{Client, Conn};
use crate::clock::SimClock;
use crate::faults::Fault;
use crate::gate::Gates;
use crate::gateway::Gateway;
use crate::invariant::{Invariant, Violation};
use crate::ledger::Ledger;
use crate::logic::{Logic, limits};
use crate::net::{Net, SharedNet};
use crate::population::{self, apps};
use crate::queue::MemoryQueue;
use crate::random::Random;
use crate::routes::SimRoutes;
use crate::share::Share;
use crate::store::MemoryStore;
use crate::trace::Trace;
use crate::words::commands_in;
use gpusher_control::logic::{Count, Counters, Data};
use gpusher_gateway::LinkEnds;
use gpusher_gateway::metrics::ShardCount;
use gpusher_proto::data::Record;
use gpusher_proto::gateway::{ToGateway, command, to_gateway};
use gpusher_proto::wire::fuzz::Random as Damage;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// Gateways, and shards of each.
pub(crate) const GATEWAYS: usize = 2;
const SHARDS: u32 = 2;
/// Parts of the queue, if several logics share it.
const PARTS: usize = 6;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Steps with traffic and faults; the end comes after them.
    pub steps: u64,
    /// Clients.
    pub clients: usize,
    /// Logics that share the work.
    pub logics: usize,
    /// Whether parts fail.
    pub faults: bool,
    /// So many messages between gateways and logic, and client frames, in a thousand say something else than was meant: then only [`Invariant::NoPanic`] counts.
    pub damage_permille: u64,
    /// Faults that are left out.
    pub without: BTreeSet<Fault>,
    /// A bug to find.
    pub canary: Option<Canary>,
    /// Print events as they happen.
    pub print: bool,
}

impl Options {
    /// What a seed means unless told otherwise.
    pub fn of(seed: u64) -> Self {
        let without = BTreeSet::new();
        let (steps, clients, logics, damage_permille) = (1_500, 10, 1, 0);
        let (faults, canary, print) = (true, None, false);
        Self { seed, steps, clients, logics, faults, damage_permille, without, canary, print }
    }
}

/// As a command that runs them again.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, steps, clients, logics, faults, damage_permille: damage, without, .. } =
            self;
        write!(
            f,
            "gpusher-sim --seed {seed} --steps {steps} --clients {clients} --logics {logics}"
        )?;
        if *damage > 0 {
            write!(f, " --damage {damage}")?;
        }
        without.iter().filter(|_| *faults).try_for_each(|fault| write!(f, " --without {fault}"))?;
        f.write_str(if *faults { " --trace" } else { " --no-faults --trace" })
    }
}

/// The system, its clients, and the truth about them.
pub struct World {
    pub(crate) options: Options,
    pub(crate) random: Random,
    pub(crate) clock: SimClock,
    pub(crate) trace: Trace,
    pub(crate) step: u64,
    pub(crate) net: SharedNet,
    pub(crate) gates: Gates,
    pub(crate) store: MemoryStore,
    pub(crate) queue: MemoryQueue,
    pub(crate) routes: SimRoutes,
    pub(crate) gateways: Vec<Place>,
    pub(crate) logics: Vec<LogicPlace>,
    /// Logic processes so far.
    pub(crate) lives: u64,
    /// The queue's parts are shared out among the logics then.
    pub(crate) rebalance_at_ms: u64,
    pub(crate) clients: Vec<Client>,
    /// Connections that their clients have left: (client, connection).
    pub(crate) ghosts: Vec<(usize, Conn)>,
    pub(crate) ledger: Ledger,
    pub(crate) settling: Settling,
    pub(crate) violations: Vec<Violation>,
    pub(crate) calm: bool,
    pub(crate) injected: BTreeMap<Fault, u64>,
    pub(crate) damaged: Rc<Cell<u64>>,
    pub(crate) next_message: u64,
    pub(crate) last_heartbeat_ms: u64,
}

/// Where a logic's processes run, one after the other.
#[derive(Default)]
pub(crate) struct LogicPlace {
    pub(crate) process: Option<Logic>,
    pub(crate) down_until_ms: u64,
    /// It connects to each gateway not before.
    pub(crate) connect_at_ms: [u64; GATEWAYS],
    /// When the present process began.
    pub(crate) since_ms: u64,
    /// The queue's only part was done up to here when it began.
    pub(crate) life_since_offset: u64,
    /// Of all its processes.
    pub(crate) counters: Arc<Counters>,
}

/// Where a gateway's processes run, one after the other.
pub(crate) struct Place {
    pub(crate) process: Option<Gateway>,
    /// Of its processes.
    pub(crate) epochs: Vec<u64>,
    pub(crate) down_until_ms: u64,
    pub(crate) frozen_until_ms: u64,
    /// Breaks between it and logic, of any kind.
    pub(crate) breaks: u64,
    /// What the queue's only part was done up to when logic had no stream to it any more, and when that was.
    pub(crate) cut_off: Option<(u64, u64)>,
    /// Ends of streams that logic or the network has given up, and when the gateway hears of it.
    pub(crate) zombies: Vec<(u64, LinkEnds)>,
}

impl World {
    /// A system that has not started.
    pub fn new(options: Options) -> Self {
        let mut random = Random::new(options.seed);
        let clock = SimClock::default();
        let gates = Gates::closed(random.fork());
        let net = Net::shared(GATEWAYS, random.fork(), clock.clone());
        let mut store = MemoryStore::new(clock.clone(), gates.clone());
        let mut routes = SimRoutes::new(clock.clone(), gates.clone());
        let parts = if options.logics > 1 { PARTS } else { 1 };
        let mut queue = MemoryQueue::in_parts(gates.clone(), parts);
        // Purges take everything from apps that are not there.
        store.with(|tables| apps().iter().for_each(|app| tables.add_app(app.id, &app.tag)));
        store.overshoots = options.canary == Some(Canary::OvershootCursors);
        store.loses_appends = options.canary == Some(Canary::LoseAppends);
        store.ends_full_pages = options.canary == Some(Canary::EndFullPages);
        routes.unbinds_anybody = options.canary == Some(Canary::UnbindAnybody);
        queue.loses_publishes = options.canary == Some(Canary::LosePublishes);
        net.borrow_mut().canary = options.canary;
        let clients = population::clients(options.clients, &mut random);
        let place = || Place {
            process: None,
            epochs: Vec::new(),
            down_until_ms: 0,
            frozen_until_ms: 0,
            breaks: 0,
            cut_off: None,
            zombies: Vec::new(),
        };
        Self {
            trace: Trace::new(options.print),
            step: 0,
            net,
            queue,
            gates,
            store,
            routes,
            gateways: (0..GATEWAYS).map(|_| place()).collect(),
            logics: (0..options.logics).map(|_| LogicPlace::default()).collect(),
            lives: 0,
            rebalance_at_ms: 0,
            clients,
            ghosts: Vec::new(),
            ledger: Ledger::default(),
            settling: Settling::default(),
            violations: Vec::new(),
            calm: false,
            injected: BTreeMap::new(),
            damaged: Rc::default(),
            next_message: 1,
            last_heartbeat_ms: 0,
            random,
            clock,
            options,
        }
    }

    /// Adds to the trace.
    pub(crate) fn note(&mut self, event: std::fmt::Arguments<'_>) {
        self.trace.note(self.step, self.clock.ms() - 1_000_000, event);
    }

    /// A promise was broken.
    pub(crate) fn violate(&mut self, invariant: Invariant, text: String) {
        if self.options.damage_permille > 0 && invariant != Invariant::NoPanic {
            return;
        }
        self.note(format_args!("VIOLATION {invariant:?}: {text}"));
        self.violations.push(Violation { invariant, text });
    }

    /// What happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Traffic and faults, then the end.
    pub(crate) fn run(&mut self) {
        while self.step < self.options.steps && self.violations.is_empty() {
            let by = self.next_pause();
            self.clock.advance(by);
            self.act();
            if self.options.faults {
                self.fail_something();
            }
            self.step();
        }
        if self.violations.is_empty() && self.options.damage_permille == 0 {
            self.finish();
        }
    }

    /// Mostly little time passes between two steps.
    fn next_pause(&mut self) -> u64 {
        match self.random.below(1_000) {
            0..850 => self.random.below(4),
            850..980 => self.random.between(5, 30),
            980..998 => self.random.between(50, 400),
            _ => self.random.between(1_000, 12_000),
        }
    }

    /// What came of it.
    pub(crate) fn report(self) -> crate::Report {
        let violation = self.violations.first().cloned();
        let tail = match violation {
            Some(_) => self.trace.tail().map(str::to_owned).collect(),
            None => Vec::new(),
        };
        crate::Report {
            steps: self.step,
            hash: self.trace.hash(),
            events: self.trace.count(),
            accepted: self.ledger.pushes.len(),
            received: self.ledger.received.values().map(|received| received.len()).sum(),
            damaged: self.damaged.get(),
            injected: self.injected,
            violation,
            tail,
            options: self.options,
        }
    }

    /// One round of everything.
    pub(crate) fn step(&mut self) {
        self.step += 1;
        self.start_processes();
        self.damage_clients();
        self.turn_gateways();
        self.turn_logics();
        self.accept_records();
        self.turn_clients();
        self.check_step();
    }

    fn start_processes(&mut self) {
        let now_ms = self.clock.ms();
        for number in 0..GATEWAYS {
            let place = &mut self.gateways[number];
            let zombies = place.zombies.len();
            place.zombies.retain(|&(until_ms, _)| until_ms > now_ms);
            // The gateway hears of a break.
            place.breaks += (zombies - place.zombies.len()) as u64;
            if place.process.is_none() && place.down_until_ms <= now_ms {
                // The time, which may be that of an earlier process where the clock was set back; but no two have an epoch, nor connections' generations, in common.
                let near = |epoch: u64| place.epochs.iter().any(|it| it.abs_diff(epoch) < 1_000);
                let mut epochs = (0..).map(|n| self.clock.unix() as u64 + n * 1_000);
                let epoch = epochs.find(|&epoch| !near(epoch)).expect("any number");
                place.epochs.push(epoch);
                let epoch = (epoch, SHARDS);
                let gateway = Gateway::start(number as u32, epoch, &self.net, &self.clock);
                place.process = Some(gateway);
                place.frozen_until_ms = 0;
                self.note(format_args!("gateway {number} starts"));
            }
        }
        for number in 0..self.logics.len() {
            let place = &self.logics[number];
            if place.process.is_none() && place.down_until_ms <= now_ms {
                self.start_logic(number);
            }
        }
        self.share_out();
        for number in 0..self.logics.len() {
            self.connect_logic(number);
        }
    }

    fn start_logic(&mut self, number: usize) {
        let now_ms = self.clock.ms();
        self.lives += 1;
        let names: Vec<String> =
            (1..=self.logics.len()).map(|number| format!("logic-{number}")).collect();
        let place = &mut self.logics[number];
        place.since_ms = now_ms;
        place.life_since_offset = self.queue.done_of(0);
        let data = Data {
            store: Arc::new(self.store.clone()),
            routes: Arc::new(self.routes.clone()),
            queue: Arc::new(self.queue.clone()),
            counters: place.counters.clone(),
        };
        let share = Share::new(self.queue.clone());
        let identity = (names[number].clone(), names);
        let life = self.lives as u32;
        let mut logic = Logic::start(life, identity, data, share, &self.clock, apps());
        logic.canary = self.options.canary;
        logic.damage_permille = self.options.damage_permille;
        logic.damaged = self.damaged.clone();
        place.process = Some(logic);
        self.rebalance_at_ms = now_ms;
        self.note(format_args!("logic {number} starts"));
    }

    /// Gives each part of the queue to one logic, as a consumer group does.
    fn share_out(&mut self) {
        let now_ms = self.clock.ms();
        let alive = |place: &LogicPlace| place.process.is_some();
        let members: Vec<usize> =
            (0..self.logics.len()).filter(|&number| alive(&self.logics[number])).collect();
        for place in &mut self.logics {
            if let Some(logic) = &mut place.process {
                logic.share.revoke(now_ms);
            }
        }
        if self.rebalance_at_ms > now_ms || members.is_empty() {
            return;
        }
        for part in 0..self.queue.parts() {
            let wanted = members[part % members.len()];
            let has = |place: &LogicPlace| {
                place.process.as_ref().is_some_and(|logic| logic.share.parts().any(|it| it == part))
            };
            match self.logics.iter().position(has) {
                Some(holder) if holder == wanted => {}
                Some(holder) => {
                    let patience = *self.random.pick(&[0, 0, 300, 3_000]);
                    let logic = self.logics[holder].process.as_mut().expect("it has the part");
                    logic.share.leave(part, now_ms + patience);
                }
                None => {
                    let logic = self.logics[wanted].process.as_mut().expect("a member runs");
                    logic.share.assign(part);
                }
            }
        }
    }

    /// Logic keeps a stream to every gateway.
    fn connect_logic(&mut self, which: usize) {
        let now_ms = self.clock.ms();
        let place = &self.logics[which];
        let Some(logic) = &place.process else { return };
        let linked = |number| logic.streams.iter().any(|stream| stream.gateway == number);
        let due = |&number: &usize| !linked(number) && place.connect_at_ms[number] <= now_ms;
        let due: Vec<usize> = (0..GATEWAYS).filter(due).collect();
        due.into_iter().for_each(|number| self.open_stream(which, number));
    }

    /// A logic opens a stream to a gateway, if both are there.
    pub(crate) fn open_stream(&mut self, which: usize, number: usize) {
        let LogicPlace { process, connect_at_ms, life_since_offset, .. } = &mut self.logics[which];
        let Some(logic) = process else { return };
        let place = &mut self.gateways[number];
        let Some(gateway) = &place.process else { return };
        // What this logic has recalled, a gateway that was cut off has to hear; and what an earlier one has, after it knew of the cut.
        let known = place
            .cut_off
            .take()
            .filter(|&(_, since_ms)| self.clock.ms() < since_ms + limits().lease_ms / 2);
        let since = known.map_or(*life_since_offset, |(offset, _)| offset.min(*life_since_offset));
        let (from, to) = (since + 1, self.queue.done_of(0));
        let handled = self.ledger.recall_offsets.range(from..).take_while(|&(&at, _)| at <= to);
        let recalled: Vec<u64> = match self.options.logics {
            1 => handled.map(|(_, &id)| id).collect(),
            _ => Vec::new(),
        };
        logic.connect(number, gateway.attach(), apps(), &mut self.random, recalled);
        connect_at_ms[number] = self.clock.ms() + 200;
        place.breaks += 1;
        self.note(format_args!("logic {which} connects to {number}"));
    }

    /// Bytes that a client has sent and that nobody has read may say something else.
    fn damage_clients(&mut self) {
        let share = self.options.damage_permille;
        for client in &self.clients {
            let Some(conn) = client.conn.as_ref().filter(|_| self.random.permille(share)) else {
                continue;
            };
            let up = &mut self.net.borrow_mut().pipes[conn.pipe].up;
            let mut bytes: Vec<u8> = up.drain(..).collect();
            Damage::from_seed(self.random.bits()).damage(&mut bytes);
            up.extend(bytes);
        }
    }

    fn turn_gateways(&mut self) {
        let now_ms = self.clock.ms();
        for number in 0..GATEWAYS {
            let place = &mut self.gateways[number];
            let Some(gateway) = &mut place.process else { continue };
            if place.frozen_until_ms > now_ms {
                continue;
            }
            gateway.pump_link();
            for shard in 0..gateway.shards() {
                if self.calm || self.random.permille(850) {
                    gateway.turn(shard);
                }
            }
            gateway.pump_link();
        }
    }

    fn turn_logics(&mut self) {
        for number in 0..self.logics.len() {
            self.carry(number);
        }
        let opened = if self.calm { 64 } else { self.random.below(4) };
        for _ in 0..opened {
            if self.gates.open_one(&mut self.random).is_none() {
                break;
            }
            if self.calm {
                self.turn_each();
            }
        }
        self.turn_each();
        for number in 0..self.logics.len() {
            let calm = self.calm;
            let Some(logic) = &mut self.logics[number].process else { continue };
            if calm {
                logic.commit_now();
            }
            let stray = logic.streams.iter().find_map(|stream| stream.stray_outcome);
            if let Some(job) = stray {
                let text = format!("job {job} of logic {number} has an outcome too many");
                self.violate(Invariant::OneOutcome, text);
            }
        }
    }

    fn turn_each(&mut self) {
        let Self { logics, random, ledger, .. } = self;
        for logic in logics.iter_mut().filter_map(|place| place.process.as_mut()) {
            logic.turn(GATEWAYS, random);
            ledger.retried.append(&mut logic.retried);
        }
    }

    /// What is on its way between a logic and the gateways.
    fn carry(&mut self, which: usize) {
        let now_ms = self.clock.ms();
        let mut recalls = Vec::new();
        let mut commands = Vec::new();
        let LogicPlace { process, since_ms, .. } = &mut self.logics[which];
        let Some(logic) = process else { return };
        for stream in &mut logic.streams {
            let number = stream.gateway;
            let mut owed = std::mem::take(&mut stream.owed);
            stream.deliver(now_ms, |message| {
                recalls.extend(recalls_in(message, number));
                if matches!(&message.kind, Some(to_gateway::Kind::Batch(_))) {
                    recalls.extend(owed.drain(..).map(|message| (number, message)));
                }
                pushes_in(message).for_each(|message| self.ledger.send(message, *since_ms));
                commands.extend(
                    commands_in(message).map(|command| format!("{number} <- {which} {command}")),
                );
            });
            stream.owed = owed;
        }
        let heard = logic.hear(&mut self.random);
        for (number, place) in self.gateways.iter_mut().enumerate() {
            if logic.streams.iter().all(|stream| stream.gateway != number) {
                place.cut_off.get_or_insert((self.queue.done_of(0), now_ms));
            }
        }
        commands.iter().for_each(|command| self.note(format_args!("gateway {command}")));
        heard.iter().for_each(|event| self.note(format_args!("logic {which} <- {event}")));
        self.settling.begin(recalls, now_ms);
    }

    /// What the queue has taken since the last step is accepted.
    fn accept_records(&mut self) {
        for record in self.queue.after(self.ledger.offset, usize::MAX) {
            self.ledger.note(&record, self.clock.ms());
        }
    }

    /// Publishes as the web role does.
    pub(crate) fn publish(&mut self, record: Record) {
        self.queue.put(vec![record]);
        self.accept_records();
    }

    /// What may make a kept message come again: breaks between a gateway and logic, spills there, lost leases, and sessions sent again. A connection
    /// remembers them from its beginning.
    pub(crate) fn repeats(&self, gateway: usize) -> (u64, u64) {
        let place = &self.gateways[gateway];
        let spilled = place.process.as_ref().map_or(0, |it| it.sum(ShardCount::Spilled));
        let sum = |what| self.logics.iter().map(|place| place.counters.get(what)).sum::<u64>();
        (place.breaks + spilled + sum(Count::LeasesLost), sum(Count::Redelivered))
    }
}

fn recalls_in(message: &ToGateway, gateway: usize) -> Vec<(usize, u64)> {
    let Some(to_gateway::Kind::Batch(batch)) = &message.kind else { return Vec::new() };
    let recall = |command: &gpusher_proto::gateway::Command| match &command.kind {
        Some(command::Kind::Recall(recall)) => Some((gateway, recall.message_id)),
        _ => None,
    };
    batch.commands.iter().filter_map(recall).collect()
}

/// Messages that go to who is connected, replays aside.
fn pushes_in(message: &ToGateway) -> impl Iterator<Item = u64> {
    let batch = match &message.kind {
        Some(to_gateway::Kind::Batch(batch)) => &batch.commands[..],
        _ => &[],
    };
    batch.iter().filter_map(|command| match &command.kind {
        Some(command::Kind::Delivery(delivery)) if !delivery.replay => {
            delivery.message.as_ref().map(|message| message.id)
        }
        _ => None,
    })
}
