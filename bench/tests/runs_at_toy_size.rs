//! Every group runs and gives figures, by the binary and by the library, so that none can rot.

use gpusher_bench::GROUPS;
use gpusher_bench::history::{Run, read};
use gpusher_bench::timing::Effort;
use std::process::Command;

#[test]
fn every_group_gives_figures() {
    for (name, take) in GROUPS {
        let figures = take(Effort::TOY);
        assert!(!figures.is_empty(), "{name}");
        for figure in figures {
            assert!(figure.value > 0.0, "{name}: {}", figure.name);
        }
    }
}

#[test]
fn what_the_binary_leaves_is_in_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history.jsonl");
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpusher-bench"));
        let output = command.args(arguments).arg("--history").arg(&history).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    bench(&["core", "outbox", "--toy"]);
    bench(&[
        "floor",
        "--connections",
        "40",
        "--rounds",
        "2",
        "--per-shard",
        "20",
        "--per-ring",
        "8",
    ]);
    assert_eq!(read(&history).unwrap().len(), 2);
    let columns = bench(&["history", "over bare ring"]);
    assert_eq!(columns.lines().count(), 3, "{columns}");
}

#[test]
fn instructions_are_counted_or_valgrind_is_asked_for() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpusher-bench"));
    let arguments = ["core", "outbox", "--instructions", "--json", "-"];
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(!output.status.success() && said.contains("install"), "{said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    let run: Run = serde_json::from_slice(&output.stdout).unwrap();
    assert!(run.figures.iter().all(|it| it.value > 100.0), "{run}");
}
