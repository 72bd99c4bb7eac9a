//! When and where to connect next.

use super::config::Config;

/// Full jitter: anything between nothing and a bound that doubles, so that a crowd that was cut off at one moment comes back spread out.
#[derive(Debug)]
pub(super) struct Backoff {
    base_ms: u64,
    max_ms: u64,
    attempt: u32,
    random: u64,
    gateway: usize,
    /// Where the server sent us; tried once.
    target: Option<String>,
}

impl Backoff {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        Self {
            base_ms: config.reconnect_base_ms.max(1),
            max_ms: config.reconnect_max_ms.max(1),
            attempt: 0,
            // Seeds that are close must not give waits that are close; and any state but 0 will do.
            random: seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            gateway: 0,
            target: None,
        }
    }

    /// A connection proved good.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Where to connect.
    pub(super) fn address(&mut self, gateways: &[String]) -> String {
        if let Some(target) = self.target.take() {
            return target;
        }
        gateways.get(self.gateway % gateways.len().max(1)).cloned().unwrap_or_default()
    }

    /// Wait before the next attempt. The server's own wish is kept to the millisecond: it spreads its clients itself.
    pub(super) fn wait_ms(&mut self, advised_ms: Option<u64>, target: &str) -> u64 {
        self.target = (!target.is_empty()).then(|| target.to_owned());
        if let Some(advised_ms) = advised_ms.filter(|&ms| ms > 0) {
            return advised_ms;
        }
        let bound_ms = self.base_ms.saturating_mul(1 << self.attempt.min(20)).min(self.max_ms);
        if self.attempt > 0 {
            self.gateway = self.gateway.wrapping_add(1);
        }
        self.attempt += 1;
        self.random() % (bound_ms + 1)
    }

    /// xorshift64*.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_are_spread() {
        let config = Config { reconnect_max_ms: 8_000, ..Config::new("a:1", 1, "u") };
        let mut longest = [0; 8];
        let mut sums = [0; 8];
        for seed in 0..1_000 {
            let mut backoff = Backoff::new(&config, seed);
            for attempt in 0..8 {
                let wait_ms = backoff.wait_ms(None, "");
                longest[attempt] = longest[attempt].max(wait_ms);
                sums[attempt] += wait_ms;
            }
        }
        for (attempt, bound_ms) in
            [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000].into_iter().enumerate()
        {
            assert!(longest[attempt] <= bound_ms && longest[attempt] > bound_ms * 9 / 10);
            let mean = sums[attempt] / 1_000;
            assert!(mean > bound_ms * 2 / 5 && mean < bound_ms * 3 / 5, "{attempt}: {mean}");
        }
    }

    #[test]
    fn advice_and_target_are_followed_once() {
        let gateways = ["a:1".to_owned(), "b:1".to_owned()];
        let mut backoff = Backoff::new(&Config::new("a:1", 1, "u"), 7);
        assert_eq!(backoff.wait_ms(Some(1_234), "c:1"), 1_234);
        assert_eq!(backoff.address(&gateways), "c:1");
        backoff.wait_ms(None, "");
        assert_eq!(backoff.address(&gateways), "a:1");
        backoff.wait_ms(None, "");
        assert_eq!(backoff.address(&gateways), "b:1");
    }
}
