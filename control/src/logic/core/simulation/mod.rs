//! The core against a model of everything around it: data layer, gateways, clients, in any order that one seed makes up.
//!
//! What must hold, whatever breaks in between: every kept message reaches every device, or is in the dead letters, or was recalled; a
//! connection gets each channel in order; the queue is committed to its end; nothing is left under way.

mod data;
mod gateway;

use super::super::counters::Counters;
use super::*;
use crate::logic::limits::Limits;
use data::{DataLayer, Task};
use gateway::{Device as Client, GatewayModel};
use gpusher_proto::data::{Job, MessageKey, Push, job};
use std::collections::BTreeSet;

const APP: u32 = 1000;
const EPOCH: u64 = 5;
const USERS: u64 = 5;
const GATEWAYS: u32 = 2;

/// One seed, one history.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// What may go wrong in a history.
#[derive(Clone, Copy)]
struct Faults {
    /// Sockets get full, outboxes spill.
    slow: bool,
    /// Links break, instances die.
    breaks: bool,
    /// Clients forget to acknowledge.
    silent: bool,
}

struct World {
    random: Random,
    faults: Faults,
    now: Now,
    core: Core,
    data: DataLayer,
    tasks: Vec<Task>,
    gateways: Vec<GatewayModel>,
    next_link: u64,
    next_message: u64,
    /// Position of the consumer.
    taken: usize,
    recalled: BTreeSet<u64>,
    steps: u64,
}

fn new_core() -> Core {
    let limits = Limits {
        page_messages: 3,
        replays: 3,
        flush_ms: 20,
        sweep_ms: 100,
        redeliver_ms: 2_000,
        redeliver_attempts: 3,
        replaced_per_minute: u32::MAX,
        sequence_block: 4,
        jobs_open: 20,
        ..Limits::default()
    };
    let ids = Arc::new(MessageIds::new(1));
    Core::new(limits, Arc::new(Counters::default()), ids, EPOCH, true)
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let room = if faults.slow { 4 } else { usize::MAX };
        let mut world = Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            faults,
            now: Now { mono_ms: 1, unix_ms: 1_800_000_000_000 },
            core: new_core(),
            data: DataLayer::default(),
            tasks: Vec::new(),
            gateways: (0..GATEWAYS).map(|n| GatewayModel::new(n, room)).collect(),
            next_link: 1,
            next_message: 1,
            taken: 0,
            recalled: BTreeSet::new(),
            steps: 0,
        };
        (0..world.gateways.len()).for_each(|index| world.link(index));
        world
    }

    fn link(&mut self, index: usize) {
        let key = LinkKey(self.next_link);
        self.next_link += 1;
        self.gateways[index].attach(key);
        self.core.on_link_up(key, &self.gateways[index].hello());
        self.core.on_credit(key, 1 << 20);
    }

    fn unlink(&mut self, index: usize) {
        if let Some(key) = self.gateways[index].detach() {
            self.core.on_link_down(key, false);
        }
    }

    /// The instance dies with all it knows; calls that were on their way may have been made or not.
    fn crash(&mut self) {
        self.tasks.clear();
        self.core = new_core();
        self.core.set_time(self.now);
        self.taken = self.data.committed;
        for index in 0..self.gateways.len() {
            self.gateways[index].detach();
            self.link(index);
        }
    }

    fn push(&mut self) {
        let id = self.next_message;
        self.next_message += 1;
        let user = format!("user {}", self.random.below(USERS as usize));
        let r#type = [1, 1, 1, 2, 3, 5][self.random.below(6)];
        let users = match r#type {
            1 => vec![user],
            5 => (0..USERS).map(|n| format!("user {n}")).collect(),
            _ => Vec::new(),
        };
        let offline_push = !self.random.one_in(4);
        let push = Push { id, r#type, app_id: APP, users, offline_push, ..Push::default() };
        self.data.publish(job::Kind::Push(push));
        if self.random.one_in(15) {
            let id = 1 + self.random.below(id as usize) as u64;
            self.recalled.insert(id);
            self.data.publish(job::Kind::Recall(MessageKey { id }));
        }
    }

    /// Something happens.
    fn step(&mut self, quiet: bool) {
        let advance_ms = self.random.below(20) as u64;
        self.now.mono_ms += advance_ms;
        self.now.unix_ms += advance_ms as i64;
        self.core.set_time(self.now);
        let index = self.random.below(self.gateways.len());
        match self.random.below(12) {
            0 if !quiet => self.push(),
            1 => self.log_in(index),
            2 if !quiet && self.random.one_in(4) => {
                self.gateways[index].close_one(&mut self.random);
            }
            3 if !quiet && self.faults.breaks && self.random.one_in(20) => {
                self.unlink(index);
                self.link(index);
            }
            4 if !quiet && self.faults.breaks && self.random.one_in(60) => self.crash(),
            5 => self.core.on_tick(),
            6 => self.consume(),
            7 => self.gateways[index].sockets(&mut self.random, self.faults.slow && !quiet),
            8 => self.gateways[index].acknowledge(&mut self.random, self.faults.silent && !quiet),
            9 => self.carry(index),
            _ => self.work(),
        }
        if let Some(offset) = self.core.take_commit() {
            self.data.committed = self.data.committed.max(offset as usize);
        }
        assert!(self.core.take_closing().is_empty(), "no link does wrong");
        self.steps += 1;
        if self.steps.is_multiple_of(16) {
            self.check_positions();
        }
    }

    fn log_in(&mut self, index: usize) {
        let user = self.random.below(USERS as usize);
        let connected = self.gateways.iter().any(|gateway| gateway.has(user));
        // Mostly one connection at a time; sometimes a newer one replaces an older one.
        if !connected || self.random.one_in(6) {
            let known = self.gateways.iter().filter_map(|it| it.devices.get(&user));
            let resume =
                known.fold([0; 3], |furthest, it: &Client| super::furthest(furthest, &it.position));
            self.gateways[index].log_in(user, resume, &mut self.random, self.now);
        }
    }

    fn consume(&mut self) {
        if self.core.has_room() && self.taken < self.data.queue.len() {
            let limit = 1 + self.random.below(6);
            let end = (self.taken + limit).min(self.data.queue.len());
            self.core.on_records(self.data.queue[self.taken..end].to_vec());
            self.taken = end;
        }
    }

    /// Moves some commands and events.
    fn carry(&mut self, index: usize) {
        let Some(key) = self.gateways[index].link else { return };
        while let Some(batch) = self.core.take_batch(key) {
            self.gateways[index].commands.extend(batch.commands);
        }
        let commands = self.random.below(8);
        self.gateways[index].take_commands(commands);
        let events = self.random.below(8);
        let events = self.gateways[index].take_events(events);
        self.core.on_report(key, Report { events });
    }

    /// Takes a task a stage further, in any order among the lanes.
    fn work(&mut self) {
        for lane in Lane::ALL {
            while let Some(work) = self.core.take_work(lane) {
                self.tasks.push(Task::new(work));
            }
        }
        if self.tasks.is_empty() {
            return;
        }
        let index = self.random.below(self.tasks.len());
        if let Some(done) = self.tasks[index].advance(&mut self.data, self.now) {
            self.tasks.swap_remove(index);
            self.core.on_done(done);
        }
    }

    fn is_settled(&self) -> bool {
        let idle = |gateway: &GatewayModel| gateway.is_idle();
        let phases = |session: &Session| session.phase == Phase::Live;
        self.tasks.is_empty()
            && self.taken == self.data.queue.len()
            && self.data.committed == self.data.queue.len()
            && self.gateways.iter().all(idle)
            && self.core.sessions.iter().all(phases)
            && (0..USERS as usize).all(|user| self.gateways.iter().any(|it| it.has(user)))
            && self.missing().is_none()
    }

    /// A client that has received a message has received all before it on that channel.
    fn check_positions(&self) {
        for user in 0..USERS as usize {
            let devices = self.gateways.iter().filter_map(|it| it.devices.get(&user));
            let device = devices.fold(Client::default(), |mut all, device| {
                all.position = super::furthest(all.position, &device.position);
                all.got.extend(&device.got);
                all
            });
            let name = format!("user {user}");
            for (channel, seq, id) in self.data.logged(APP, &name) {
                let excused =
                    self.recalled.contains(&id) || self.data.dead.contains(&(name.clone(), id));
                let got = seq > device.position[channel] || device.got.contains(&id);
                assert!(
                    got || excused,
                    "{name} has {:?} without {id}, {seq} of {channel}",
                    device.position
                );
            }
        }
    }

    /// A device and a kept message that it has not got, though it should.
    fn missing(&self) -> Option<(usize, u64)> {
        let got = |user: usize, id: u64| {
            let has = |gateway: &GatewayModel| {
                gateway.devices.get(&user).is_some_and(|device: &Client| device.got.contains(&id))
            };
            self.gateways.iter().any(has)
        };
        for record in &self.data.queue {
            let Some(Job { kind: Some(job::Kind::Push(push)) }) = &record.job else { continue };
            if !push.offline_push || self.recalled.contains(&push.id) {
                continue;
            }
            for user in 0..USERS as usize {
                let name = format!("user {user}");
                let concerns = push.users.is_empty() || push.users.contains(&name);
                let dead = self.data.dead.contains(&(name, push.id));
                if concerns && !dead && !got(user, push.id) {
                    return Some((user, push.id));
                }
            }
        }
        None
    }
}

fn run(seed: u64, faults: Faults) -> World {
    println!("seed {seed}");
    let mut world = World::new(seed, faults);
    for _ in 0..3_000 {
        world.step(false);
    }
    let mut left = 200_000;
    while !world.is_settled() {
        world.step(true);
        left -= 1;
        assert!(left > 0, "seed {seed}: not settled; missing {:?}", world.missing());
    }
    assert!(world.core.progress.is_empty() && world.core.replaying == 0);
    assert!(world.core.finishing.is_empty() && !world.core.preparing_kept);
    world
}

/// The same few each time; others, and more of them, by `FIRST_SEED` and `SEEDS`.
fn seeds() -> impl Iterator<Item = u64> {
    let number =
        |name, usual| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let (first, count) = (number("FIRST_SEED", 1), number("SEEDS", 8));
    (0..count).map(move |n| u64::wrapping_add(first, n))
}

#[test]
fn calm_seas_each_connection_gets_everything_once() {
    for seed in seeds() {
        let world = run(seed, Faults { slow: false, breaks: false, silent: false });
        let repeated: u64 = world.gateways.iter().map(|gateway| gateway.repeated).sum();
        assert_eq!(repeated, 0, "seed {seed}: a connection got a message twice");
        assert!(world.data.dead.is_empty(), "seed {seed}");
    }
}

#[test]
fn slow_sockets_lose_nothing_kept() {
    for seed in seeds() {
        run(seed, Faults { slow: true, breaks: false, silent: false });
    }
}

#[test]
fn broken_links_and_crashes_lose_nothing_kept() {
    for seed in seeds() {
        run(seed, Faults { slow: false, breaks: true, silent: false });
    }
}

#[test]
fn everything_at_once_loses_nothing_kept() {
    for seed in seeds() {
        run(seed, Faults { slow: true, breaks: true, silent: true });
    }
}
