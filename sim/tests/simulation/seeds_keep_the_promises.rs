//! A fixed budget of seeds, with and without faults: short writes, slow readers, spills, reordered completions and calls, clients that come and go; cut links,
//! killed processes, calls that fail. No promise is broken.

use gpusher_sim::{Options, run};

/// Seeds that broke a promise once, without faults; with the code of that day.
const CALM_ONCE_BROKEN: [u64; 14] =
    [14, 51, 119, 127, 133, 170, 197, 301, 313, 344, 17, 25, 236, 347];
/// The same with faults.
const FAULTY_ONCE_BROKEN: [u64; 30] = [
    30, 328, 3, 4, 9, 11, 15, 16, 23, 25, 29, 32, 35, 39, 47, 48, 54, 65, 67, 129, 133, 141, 167,
    227, 229, 235, 164, 269, 634, 103,
];

/// The same with two logics.
const TWO_LOGICS_ONCE_BROKEN: [u64; 13] = [2, 5, 7, 12, 15, 29, 10, 59, 255, 288, 491, 670, 1895];
/// The same with three.
const THREE_LOGICS_ONCE_BROKEN: [u64; 4] = [21, 160, 866, 1458];

fn keeps_all_promises(seed: u64, faults: bool, logics: usize) {
    let report = run(Options { faults, logics, ..Options::of(seed) });
    if let Some(violation) = report.violation {
        panic!("{violation}\n{}\nagain: {}", report.tail.join("\n"), report.options);
    }
    assert!(report.received > 50, "seed {seed} has hardly done anything");
}

#[test]
fn without_faults() {
    let more = 1_001..=1_002;
    CALM_ONCE_BROKEN.into_iter().chain(more).for_each(|seed| keeps_all_promises(seed, false, 1));
}

#[test]
fn with_faults() {
    let more = 1_001..=1_004;
    FAULTY_ONCE_BROKEN.into_iter().chain(more).for_each(|seed| keeps_all_promises(seed, true, 1));
}

#[test]
fn with_several_logics() {
    TWO_LOGICS_ONCE_BROKEN.into_iter().for_each(|seed| keeps_all_promises(seed, true, 2));
    THREE_LOGICS_ONCE_BROKEN.into_iter().for_each(|seed| keeps_all_promises(seed, true, 3));
}
