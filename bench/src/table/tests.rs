use super::*;
use crate::environment::Environment;
use std::path::Path;
use std::time::{Duration, Instant};

/// Programs that end in every way there is.
const SPEC: &str = r#"
[[run]]
name = "good"
command = ["sh", "-c", "echo '{\"a\": {\"b\": 1500}}' > {json}"]
seconds_max = 60
[[run]]
name = "bottleneck"
command = ["sh", "-c", "echo '{\"a\": 1, \"invalid\": \"too slow\"}' > {json}; exit 2"]
seconds_max = 60
[[run]]
name = "lossy"
command = ["sh", "-c", "echo '{\"a\": 1}' > {json}; exit 1"]
seconds_max = 60
[[run]]
name = "broken"
command = ["sh", "-c", "echo 'no luck | today' >&2; exit 70 # {json}"]
seconds_max = 60
[[run]]
name = "absent"
command = ["{bin}/does-not-exist", "{json}"]
seconds_max = 60
[[run]]
name = "endless"
command = ["tail", "-f", "/dev/null", "--", "{json}"]
seconds_max = 0
long = true

[[row]]
what = "reached"
run = "good"
path = "a/b"
scale = 0.001
unit = "ms"
reach = 2.0
[[row]]
what = "missed"
run = "good"
path = "a/b"
unit = "/s"
reach = 2000
better = "higher"
[[row]]
what = "not there"
run = "good"
path = "a/c"
unit = "ns"
[[row]]
what = "bottleneck"
run = "bottleneck"
path = "a"
unit = "ns"
[[row]]
what = "lossy"
run = "lossy"
path = "a"
unit = "ns"
[[row]]
what = "broken"
run = "broken"
path = "a"
unit = "ns"
[[row]]
what = "absent"
run = "absent"
path = "a"
unit = "ns"
[[row]]
what = "endless"
run = "endless"
path = "a"
unit = "ns"
"#;

#[test]
fn only_what_counts_is_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::parse(SPEC, true).unwrap();
    let started = Instant::now();
    let outcome = |run| perform(run, Path::new("/nowhere"), folder.path()).unwrap();
    let outcomes: Vec<Outcome> = spec.runs.iter().map(outcome).collect();
    assert!(started.elapsed() < Duration::from_secs(60), "the endless one was not stopped");

    let table = markdown(&spec, &outcomes, &Environment::read());
    let measured = |what: &str| {
        let line = table.lines().find(|line| line.starts_with(&format!("| {what} |"))).unwrap();
        line.split(" | ").nth(2).unwrap().to_owned()
    };
    assert_eq!(measured("reached"), "1.50 ms");
    assert_eq!(measured("missed"), "1,500 /s (missed)");
    assert_eq!(measured("not there"), "the report has no a/c");
    assert_eq!(measured("bottleneck"), "invalid: too slow");
    assert!(measured("lossy").starts_with("failed"));
    assert!(measured("broken").contains("no luck / today"), "{}", measured("broken"));
    assert!(measured("absent").starts_with("not run: /nowhere/does-not-exist"));
    assert_eq!(measured("endless"), "not done after 0 s");

    let names: Vec<_> = spec.figures(&outcomes).into_iter().map(|figure| figure.name).collect();
    assert_eq!(names, ["reached", "missed"]);
}

#[test]
fn the_long_runs_are_left_out_unless_wanted() {
    let spec = Spec::parse(SPEC, false).unwrap();
    assert!(spec.runs.iter().all(|run| !run.long));
    assert!(spec.rows.iter().all(|row| row.run != "endless"));
    assert!(Spec::parse(&SPEC.replace("run = \"lossy\"", "run = \"lost\""), true).is_err());
}

#[test]
fn the_published_table_can_be_read_and_takes_at_most_fifteen_minutes() {
    let spec = Spec::parse(PUBLISHED, false).unwrap();
    let seconds: u64 = spec.runs.iter().map(|run| run.seconds_max).sum();
    assert!(seconds <= 15 * 60, "{seconds} s");
    assert!(Spec::parse(PUBLISHED, true).unwrap().rows.len() > spec.rows.len());
}
