//! Small runs of a few faults with the real programs: the books close, and nothing that was promised is missing.

use gpusher_faults::deployment::{Backends, Programs, Shape};
use gpusher_faults::fault::find;
use gpusher_faults::run::{Outcome, Plan, run};
use gpusher_faults::traffic::Rates;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

/// The programs beside ours. The tests of the whole workspace have built them; alone, this crate has them built.
fn programs() -> Programs {
    static BUILT: Once = Once::new();
    let own = Path::new(env!("CARGO_BIN_EXE_gpusher-faults"));
    let programs = Programs {
        control: own.with_file_name("gpusher-control"),
        gateway: own.with_file_name("gpusher-gateway"),
    };
    BUILT.call_once(|| {
        if !programs.control.exists() || !programs.gateway.exists() {
            let arguments = ["build", "-p", "gpusher-control", "-p", "gpusher-gateway"];
            let status = Command::new(env!("CARGO")).args(arguments).status().unwrap();
            assert!(status.success(), "the programs cannot be built");
        }
    });
    programs
}

fn small(fault: &str, shape: Shape) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        programs: programs(),
        shape,
        backends: Backends::Embedded,
        hosts_apart: false,
        fault: find(fault).unwrap(),
        cycles: 2,
        hold: Some(Duration::from_millis(100)),
        clients: 60,
        rates: Rates { pushes_per_s: 40, broadcast_messages_per_s: 100 },
        seed: 1,
        folder: folder.path().to_owned(),
        keys: Vec::new(),
        verbose: false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(&plan)).unwrap()
}

#[track_caller]
fn assert_kept(outcome: &Outcome) {
    assert_eq!(outcome.failures, Vec::<String>::new(), "{outcome:#?}");
    let kept = outcome.account.kept_total();
    let fates = [kept.delivered, kept.expired, kept.recalled, kept.dead, kept.pending, kept.lost];
    assert_eq!(kept.accepted, fates.iter().sum::<u64>());
    assert!(kept.delivered > 20, "{kept:?}");
    assert_eq!(outcome.recovery_ms.len(), 2);
}

#[test]
fn gateway_is_killed() {
    assert_kept(&small("kill-gateway", Shape::Apart));
}

#[test]
fn everything_in_one_process_is_killed() {
    assert_kept(&small("kill-any", Shape::Embedded));
}

#[test]
fn a_clock_jumps() {
    assert_kept(&small("clock-jump", Shape::Apart));
}
