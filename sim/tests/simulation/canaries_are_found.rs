//! A bug that is switched on in the simulation's own parts is found within a few seeds: the checks are awake.

use gpusher_sim::{Canary, Invariant, Options, run};

fn found(canary: Canary, by: &[Invariant]) {
    for seed in 1..=40 {
        let options = Options { faults: false, canary: Some(canary), ..Options::of(seed) };
        if let Some(violation) = run(options).violation {
            assert!(by.contains(&violation.invariant), "seed {seed}: {violation}");
            return;
        }
    }
    panic!("{canary:?} was not found");
}

#[test]
fn cursors_that_go_too_far() {
    found(Canary::OvershootCursors, &[Invariant::CursorBehindReceipt]);
}

#[test]
fn a_replay_whose_end_forgets_its_positions() {
    found(
        Canary::ForgetPositions,
        &[
            Invariant::KeptOnceUnlessSynced,
            Invariant::KeptInOrder,
            Invariant::CursorBehindReceipt,
            Invariant::KeptReachesConnected,
        ],
    );
}

#[test]
fn an_unbind_without_its_condition() {
    found(
        Canary::UnbindAnybody,
        &[
            Invariant::ConnectedCatchesUp,
            Invariant::KeptReachesConnected,
            Invariant::LiveReachesConnected,
            Invariant::KeptInOrder,
            Invariant::CursorBehindReceipt,
        ],
    );
}
