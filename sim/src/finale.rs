//! The end of a run: faults stop, everybody catches up, everybody leaves.

use crate::invariant::Invariant;
use crate::population::apps;
use crate::world::{GATEWAYS, World};
use gpusher_control::logic::Count;
use gpusher_control::routes::Routes;
use gpusher_gateway::metrics::ShardCount;
use gpusher_proto::data::{Route, UserInApp};
use std::task::{Context, Poll, Waker};

/// Clients times steps of a world for which the times below are long enough; a larger one takes longer to catch up.
const WORLD: u64 = 15_000;
/// Redelivery has had its time by then.
const CATCH_UP_MS: u64 = 75_000;
/// Logins, with whatever has to be replayed to them.
const LOGIN_MS: u64 = 30_000;
/// Pushes.
const PROMPT_MS: u64 = 6_000;
const LEAVE_MS: u64 = 6_000;

impl World {
    /// Runs to the end, unless something is broken before.
    pub(crate) fn finish(&mut self) {
        self.calm_down();
        let phases: [fn(&mut Self); 4] =
            [Self::catch_up, Self::everybody_logs_in, Self::probe_live, Self::everybody_leaves];
        for phase in phases {
            if self.violations.is_empty() {
                phase(self);
            }
        }
    }

    fn calm_down(&mut self) {
        self.note(format_args!("faults stop"));
        self.calm = true;
        self.gates.set_faults(0, 0);
        self.net.borrow_mut().short_permille = 20;
        self.logics.iter_mut().for_each(|place| place.down_until_ms = 0);
        for place in &mut self.gateways {
            place.down_until_ms = 0;
            place.frozen_until_ms = 0;
        }
        for client in &mut self.clients {
            client.speed = usize::MAX;
        }
    }

    /// Lets time pass with nothing but what is under way: so long for each world of the usual size.
    fn run_for(&mut self, ms: u64) {
        let worlds = (self.clients.len() as u64 * self.options.steps).div_ceil(WORLD).max(1);
        let until_ms = self.clock.ms() + ms * worlds;
        while self.clock.ms() < until_ms && self.violations.is_empty() {
            let by = self.random.between(5, 60);
            self.clock.advance(by);
            self.step();
        }
    }

    fn catch_up(&mut self) {
        self.run_for(CATCH_UP_MS);
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            let admitted = client.conn.as_ref().is_some_and(|conn| conn.welcome_ms.is_some());
            if admitted {
                self.check_device(index, Invariant::ConnectedCatchesUp);
                self.check_connection(index);
            }
        }
    }

    fn check_connection(&mut self, index: usize) {
        let client = &self.clients[index];
        let Some(conn) = &client.conn else { return };
        let Some(welcome_ms) = conn.welcome_ms else { return };
        let device = client.profile.id();
        let due = self.ledger.due(&self.store, &device, self.clock.latest_unix());
        // Of two connections of a device, which it is not to have at once, the one that goes may have had it; a session that moves to another logic goes
        // on where its device is, and so does one that was admitted when no logic could tell of the other connection.
        let follows = (self.options.logics > 1 || conn.alone) && !device.2.is_empty();
        let elsewhere = |message: u64| follows && self.ledger.has(&device, message);
        let missing = due.into_iter().find(|&(at_ms, message)| {
            at_ms > welcome_ms && !conn.kept.contains(&message) && !elsewhere(message)
        });
        if let Some((_, message)) = missing {
            let text = format!("client {index} pipe {} has not received {message}", conn.pipe);
            self.violate(Invariant::KeptReachesConnected, text);
        }
    }

    fn check_device(&mut self, index: usize, invariant: Invariant) {
        let device = self.clients[index].profile.id();
        let (after, through) = ([0; 3], [u64::MAX - 1; 3]);
        let missing =
            self.ledger.missing(&self.store, &device, after, through, self.clock.latest_unix());
        if let Some((channel, seq, message)) = missing.first() {
            let text = format!(
                "client {index} {device:?} has not received message {message} (channel {channel} seq {seq}), {} in all",
                missing.len()
            );
            return self.violate(invariant, text);
        }
        // The same without asking the store what it has kept.
        let born_ms = self.store.with(|tables| tables.devices.get(&device).map(|row| row.born_ms));
        let Some(born_ms) = born_ms else { return };
        let due = self.ledger.due(&self.store, &device, self.clock.latest_unix());
        let owed =
            |&(at_ms, message): &(u64, u64)| at_ms > born_ms && !self.ledger.has(&device, message);
        if let Some((_, message)) = due.into_iter().find(owed) {
            let text = format!("client {index} {device:?} has not received message {message}");
            self.violate(invariant, text);
        }
    }

    fn everybody_logs_in(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].conn.is_none() {
                self.connect(index);
            }
        }
        self.run_for(LOGIN_MS);
        for index in 0..self.clients.len() {
            self.check_device(index, Invariant::KeptIsDelivered);
        }
        for index in 0..self.clients.len() {
            let Some(conn) = &self.clients[index].conn else { continue };
            // What was asked across a break may have been lost with it.
            let unbroken = self.repeats(conn.gateway).0 == conn.breaks;
            if unbroken && conn.welcome_ms.is_some() && (!conn.open.is_empty() || conn.sync_open) {
                let text = format!("client {index} waits for {:?}", conn.open);
                self.violate(Invariant::RequestsAnswered, text);
            }
        }
    }

    fn probe_live(&mut self) {
        let mut probes = Vec::new();
        for kind in [1, 2, 3, 4, 5] {
            probes.push(self.push_one(kind, false, 0));
        }
        // Routes of connections that ended while nobody could say so go with the next push.
        for app in apps() {
            self.push_to_all_users(app.id);
        }
        self.run_for(PROMPT_MS);
        for index in 0..self.clients.len() {
            for &message in &probes {
                self.check_probe(index, message);
            }
        }
    }

    fn check_probe(&mut self, index: usize, message: u64) {
        let client = &self.clients[index];
        let Some(conn) = &client.conn else { return };
        let push = &self.ledger.pushes[&message].push;
        let (app_id, user) = (client.profile.app_id, &client.profile.user);
        let wanted = match push.r#type {
            4 => push.app_id == app_id && conn.joined.contains(&push.topic),
            _ => crate::ledger::is_for(push, app_id, user),
        };
        let asked = conn.open.is_empty() && conn.welcome_ms.is_some();
        if wanted && asked && !conn.live.contains_key(&message) {
            let text = format!("client {index} pipe {} did not get {message}", conn.pipe);
            self.violate(Invariant::LiveReachesConnected, text);
        }
    }

    fn everybody_leaves(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].conn.is_some() {
                self.disconnect(index);
            }
        }
        self.run_for(LEAVE_MS);
        let mut left = Vec::new();
        for number in 0..GATEWAYS {
            let Some(gateway) = &self.gateways[number].process else { continue };
            let gauges = [
                ("connections", ShardCount::Connections),
                ("members", ShardCount::Members),
                ("outbox bytes", ShardCount::OutboxBytes),
                ("partial bytes", ShardCount::PartialBytes),
                ("jobs", ShardCount::JobsWaiting),
            ];
            for (name, what) in gauges {
                let amount = gateway.sum(what);
                if amount > 0 {
                    left.push(format!("gateway {number}: {amount} {name}"));
                }
            }
        }
        for (name, what) in
            [("sessions", Count::Sessions), ("jobs", Count::JobsOpen), ("backlog", Count::Backlog)]
        {
            let amounts = self.logics.iter().map(|place| place.counters.get(what));
            for (number, amount) in amounts.enumerate().filter(|&(_, amount)| amount > 0) {
                left.push(format!("logic {number}: {amount} {name}"));
            }
        }
        let depth = self.queue.not_done();
        if depth > 0 {
            left.push(format!("queue: {depth} records"));
        }
        left.extend(self.routes().iter().map(|route| format!("route: {route:?}")));
        let logics = self.logics.iter().filter_map(|place| place.process.as_ref());
        let streams = logics.flat_map(|logic| &logic.streams);
        let jobs: usize = streams.map(|stream| stream.jobs.len()).sum();
        if jobs > 0 {
            self.violate(Invariant::OneOutcome, format!("{jobs} deliveries have no outcome"));
        }
        if !left.is_empty() {
            self.violate(Invariant::DrainedIsEmpty, left.join(", "));
        }
    }

    fn routes(&self) -> Vec<Route> {
        let process = self.routes.process();
        let users = self.clients.iter().map(|client| UserInApp {
            app_id: client.profile.app_id,
            user: client.profile.user.clone(),
        });
        let mut located = process.locate(users.collect());
        match located.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(routes)) => routes.into_iter().flatten().collect(),
            _ => Vec::new(),
        }
    }
}
