//! What breaks.

use crate::world::{GATEWAYS, World};

impl World {
    /// Something may break in this step.
    pub(crate) fn fail_something(&mut self) {
        let now_ms = self.clock.ms();
        let number = self.random.index(GATEWAYS);
        match self.random.below(6_000) {
            0..12 => self.cut_link(number),
            12..24 => self.stall_link(number),
            24..30 => self.kill_gateway(number),
            30..38 => {
                let logic = self.any_logic();
                self.kill_logic(logic);
            }
            38..44 => self.restart_routes(),
            44..56 => {
                let until_ms = now_ms + self.random.between(10, 1_500);
                self.gateways[number].frozen_until_ms = until_ms;
                self.note(format_args!("gateway {number} freezes"));
            }
            56..66 => {
                let (fail, repeat) =
                    *self.random.pick(&[(0, 0), (0, 0), (100, 0), (0, 100), (300, 50)]);
                self.gates.set_faults(fail, repeat);
                self.note(format_args!(
                    "store calls fail {fail} and repeat {repeat} in a thousand"
                ));
            }
            66..72 => {
                let short = *self.random.pick(&[0, 50, 400]);
                self.net.borrow_mut().short_permille = short;
            }
            _ => {}
        }
    }

    /// The stream breaks; each end finds out in its own time.
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
}
