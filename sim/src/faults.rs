//! What breaks.

use crate::random::Random;
use crate::world::{GATEWAYS, World};
use std::fmt;

macro_rules! faults {
    ($($(#[doc = $text:literal])+ $variant:ident $name:literal $share:literal,)+) => {
        /// A way in which something breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[doc = $text])+ $variant,)+ }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it is written on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How often it comes, among so many thousand steps.
            fn share(self) -> u64 {
                match self { $(Self::$variant => $share,)+ }
            }
        }
    };
}

faults! {
    /// A stream between a gateway and logic breaks; each end finds out in its own time.
    CutLink "cut-link" 12,
    /// Nothing passes on a stream for a while.
    StallLink "stall-link" 12,
    /// Logic opens a second stream to a gateway while the first one lives.
    DoubleLink "double-link" 6,
    /// A gateway's process dies.
    KillGateway "kill-gateway" 6,
    /// Logic dies in the middle of whatever it does.
    KillLogic "kill-logic" 8,
    /// The process with the routes dies, and what it knew with it.
    ForgetRoutes "forget-routes" 6,
    /// A gateway's process stands still.
    FreezeGateway "freeze-gateway" 12,
    /// Calls to the store fail, or are made twice because an answer was lost.
    FailCalls "fail-calls" 10,
    /// Sockets take less at a time, or more.
    ShortWrites "short-writes" 6,
    /// Several connections are reset at once.
    ResetClients "reset-clients" 8,
    /// The wall clock is set, back or forward.
    SetClock "set-clock" 6,
    /// Retention removes what is old, or more than a log may hold.
    Purge "purge" 12,
}

/// Something breaks in so many of these steps: see [`Fault::share`].
const STEPS: u64 = 6_000;

impl Fault {
    /// The one that comes in this step.
    fn of_step(random: &mut Random) -> Option<Self> {
        let mut drawn = random.below(STEPS);
        Self::ALL.iter().copied().find(|fault| match drawn.checked_sub(fault.share()) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        })
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|fault| fault.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("{name} is no fault: {}", names.join(", "))
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl World {
    /// Something may break in this step.
    pub(crate) fn fail_something(&mut self) {
        let number = self.random.index(GATEWAYS);
        let Some(fault) = Fault::of_step(&mut self.random) else { return };
        if self.options.without.contains(&fault) {
            return;
        }
        *self.injected.entry(fault).or_default() += 1;
        match fault {
            Fault::CutLink => self.cut_link(number),
            Fault::StallLink => self.stall_link(number),
            Fault::DoubleLink => self.double_link(number),
            Fault::KillGateway => self.kill_gateway(number),
            Fault::KillLogic => {
                let logic = self.any_logic();
                self.kill_logic(logic);
            }
            Fault::ForgetRoutes => self.restart_routes(),
            Fault::FreezeGateway => self.freeze(number),
            Fault::FailCalls => self.fail_calls(),
            Fault::ShortWrites => {
                let short = *self.random.pick(&[0, 50, 400]);
                self.net.borrow_mut().short_permille = short;
            }
            Fault::ResetClients => self.reset_clients(),
            Fault::SetClock => self.set_clock(),
            Fault::Purge => self.purge(),
        }
    }

    fn cut_link(&mut self, number: usize) {
        let now_ms = self.clock.ms();
        let (logic_ms, gateway_ms) = (self.delay(), self.delay());
        let which = self.any_logic();
        let Some(logic) = &mut self.logics[which].process else { return };
        let Some(stream) = logic.streams.iter_mut().find(|stream| stream.gateway == number) else {
            return;
        };
        if let Some(ends) = stream.cut(now_ms + logic_ms) {
            self.gateways[number].zombies.push((now_ms + gateway_ms, ends));
        }
        self.gateways[number].breaks += 1;
        self.note(format_args!(
            "link {number} of logic {which} is cut: logic hears in {logic_ms} ms, the gateway in {gateway_ms} ms"
        ));
        // What is recalled just then is what goes wrong.
        if self.random.permille(500) {
            self.recall();
        }
    }

    fn delay(&mut self) -> u64 {
        if self.random.permille(500) { 0 } else { self.random.between(1, 3_000) }
    }

    fn stall_link(&mut self, number: usize) {
        let until_ms = self.clock.ms() + self.random.between(20, 2_500);
        let which = self.any_logic();
        let Some(logic) = &mut self.logics[which].process else { return };
        if let Some(stream) = logic.streams.iter_mut().find(|stream| stream.gateway == number) {
            stream.stall(until_ms);
            self.note(format_args!("link {number} of logic {which} stalls"));
        }
    }

    fn double_link(&mut self, number: usize) {
        let which = self.any_logic();
        self.note(format_args!("logic {which} opens another stream to {number}"));
        self.open_stream(which, number);
    }

    fn kill_gateway(&mut self, number: usize) {
        if self.gateways[number].process.take().is_none() {
            return;
        }
        self.net.borrow_mut().kill_gateway(number);
        let place = &mut self.gateways[number];
        place.zombies.clear();
        place.breaks += 1_000_000;
        place.down_until_ms = self.clock.ms() + 1 + self.random.below(2_000);
        self.settling.forget(number);
        self.note(format_args!("gateway {number} is killed"));
    }

    /// One of the logics. Where there is one, chance has no part in it.
    fn any_logic(&mut self) -> usize {
        if self.logics.len() == 1 { 0 } else { self.random.index(self.logics.len()) }
    }

    /// Kills it in the middle of whatever it does.
    fn kill_logic(&mut self, which: usize) {
        let now_ms = self.clock.ms();
        let Some(mut logic) = self.logics[which].process.take() else { return };
        for stream in &mut logic.streams {
            let until_ms =
                now_ms + if self.random.permille(500) { 0 } else { self.random.below(1_500) };
            if let Some(ends) = stream.cut(now_ms) {
                self.gateways[stream.gateway].zombies.push((until_ms, ends));
            }
        }
        for place in &mut self.gateways {
            place.breaks += 1;
        }
        let place = &mut self.logics[which];
        place.connect_at_ms = [0; GATEWAYS];
        place.down_until_ms = now_ms + 1 + self.random.below(1_500);
        self.note(format_args!("logic {which} is killed"));
        // The others find out at once or later.
        self.rebalance_at_ms =
            now_ms + if self.random.permille(500) { 0 } else { self.random.below(2_000) };
    }

    fn restart_routes(&mut self) {
        self.routes.restart();
        for place in &mut self.gateways {
            place.breaks += 1;
        }
        self.note(format_args!("routes are forgotten"));
    }

    fn freeze(&mut self, number: usize) {
        let until_ms = self.clock.ms() + self.random.between(10, 1_500);
        self.gateways[number].frozen_until_ms = until_ms;
        self.note(format_args!("gateway {number} freezes"));
    }

    fn fail_calls(&mut self) {
        let (fail, repeat) = *self.random.pick(&[(0, 0), (0, 0), (100, 0), (0, 100), (300, 50)]);
        self.gates.set_faults(fail, repeat);
        self.note(format_args!("store calls fail {fail} and repeat {repeat} in a thousand"));
    }

    fn reset_clients(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].conn.is_some() && self.random.permille(400) {
                self.leave(index, 0);
            }
        }
    }

    fn set_clock(&mut self) {
        let by_ms = *self.random.pick(&[-600_000, -5_000, -300, 300, 5_000, 600_000]);
        self.clock.set_back_ms(by_ms);
        self.note(format_args!("the wall clock is set back {by_ms} ms"));
    }

    fn purge(&mut self) {
        let retention_ms = *self.random.pick(&[0, 60_000]);
        let most = *self.random.pick(&[0, 5, 20]);
        let spared = self.queue.messages_not_done();
        let removed = self.store.purge_some((retention_ms, most), &spared);
        self.note(format_args!(
            "a purge of what is older than {retention_ms} ms or above {most} removes {removed:?}"
        ));
        self.ledger.purged.extend(removed);
    }
}
