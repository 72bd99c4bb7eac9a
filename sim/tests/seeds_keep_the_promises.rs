//! A fixed budget of seeds without faults of processes and links: short writes, slow readers, spills, reordered completions and calls, clients that
//! come and go. No promise is broken.

use gpusher_sim::{Options, run};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=12;

#[test]
fn no_promise_is_broken() {
    for seed in SEEDS {
        let report = run(Options { faults: false, ..Options::of(seed) });
        if let Some(violation) = report.violation {
            panic!(
                "seed {seed}: {violation}\n{}\nagain: gpusher-sim --seed {seed} --no-faults --trace",
                report.tail.join("\n")
            );
        }
        assert!(report.received > 50, "seed {seed} has hardly done anything");
    }
}
