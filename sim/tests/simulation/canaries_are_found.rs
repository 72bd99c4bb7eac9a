//! A bug that is switched on in the simulation's own parts is found within a few seeds, whichever promise it breaks first: the checks are awake.

use gpusher_sim::{Canary, Invariant, Options, run};
use std::collections::BTreeSet;

const BUGS: &[Canary] = &[
    Canary::OvershootCursors,
    Canary::ForgetPositions,
    Canary::UnbindAnybody,
    Canary::Misdeliver,
    Canary::DeliverTwice,
    Canary::NeverExpire,
    Canary::SwapCommands,
    Canary::DropRecalls,
    Canary::DropAnswers,
    Canary::DropClosed,
    Canary::DoubleOutcomes,
    Canary::LoseAppends,
    Canary::EndFullPages,
    Canary::SkipRecords,
    Canary::LosePublishes,
    Canary::LoseBytes,
    Canary::PanicOnReset,
];

/// The promise that the first seed breaks by it.
fn broken_by(canary: Canary) -> Option<Invariant> {
    (1..=30).find_map(|seed| {
        let options = Options { faults: false, canary: Some(canary), ..Options::of(seed) };
        let violation = run(options).violation?;
        println!("{canary:?}: seed {seed}, {:?}", violation.invariant);
        Some(violation.invariant)
    })
}

#[test]
fn each_bug_is_found() {
    let found: Vec<_> = BUGS.iter().map(|&canary| (canary, broken_by(canary))).collect();
    let hidden: Vec<_> = found.iter().filter(|(_, by)| by.is_none()).collect();
    assert!(hidden.is_empty(), "not found: {hidden:?}");
    let kinds: BTreeSet<String> = found.iter().map(|(_, by)| format!("{by:?}")).collect();
    assert!(kinds.len() >= 10, "few of the promises are seen to break: {kinds:?}");
}
