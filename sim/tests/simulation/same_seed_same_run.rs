//! A seed decides everything: two runs of the same one have the same events, those of two different ones do not.

use gpusher_sim::{Options, run};

#[test]
fn a_seed_repeats_its_run_exactly() {
    let short = |seed| run(Options { steps: 400, ..Options::of(seed) });
    for seed in [11, 12] {
        let (one, two) = (short(seed), short(seed));
        assert_eq!((one.hash, one.events, one.steps), (two.hash, two.events, two.steps));
        assert!(one.events > 100, "something has happened");
    }
    assert_ne!(short(11).hash, short(12).hash);
}
