//! Every server starts, holds, broadcasts and echoes at toy size, and gives all figures.

use gpusher_figures::history::Run;
use std::process::Command;

#[test]
fn every_runtime_gives_every_figure() {
    let output = Command::new(env!("CARGO_BIN_EXE_gpusher-runtimes"))
        .args(["--connections", "40", "--repeats", "1", "--broadcasts", "2"])
        .args(["--echoes", "50", "--json", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Run = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run.figures.len(), 6 * 8, "{run}");
    for figure in &run.figures {
        // Forty connections may fit into pages that were there before.
        assert!(figure.value > 0.0 || figure.name.contains("memory"), "{figure:?}");
    }
}
