//! Rules of the workspace that no lint knows: what each file may not contain, and what the sans-I/O crates may not depend on.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// At about 400 lines a file usually has a second noun in it; beyond this it surely has.
const LINES_MAX: usize = 600;

/// Longest pause of a loop that waits for something.
const POLL_MS_MAX: u64 = 20;

/// A rule: what it is about, and whether a line of a file breaks it.
type Rule = (&'static str, fn(&Path, &str) -> bool);

const RULES: &[Rule] = &[
    ("unsafe belongs in gateway/sys", |path, line| {
        !path.starts_with("gateway/sys")
            && has_word(line, "unsafe")
            && !line.contains("unsafe_code")
    }),
    ("nothing is left to be done", |_, line| {
        ["todo", "unimplemented", "dbg"].iter().any(|name| line.contains(&format!("{name}!(")))
    }),
    ("no test is left out", |_, line| line.trim_start().starts_with("#[ignore")),
    ("a test waits for events: it polls briefly, or a select has another arm", |path, line| {
        is_test(path) && is_sleep(line) && !is_poll(line) && !line.trim_start().starts_with("() =")
    }),
    ("no path of somebody's machine", |_, line| {
        ["/root", "/home", "/work", "/Users"].iter().any(|root| line.contains(&format!("{root}/")))
    }),
];

#[test]
fn files_keep_the_rules() {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 100, "the workspace was not found: {} files", files.len());
    let mut broken = Vec::new();
    for file in &files {
        let path = file.strip_prefix(&root).unwrap();
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{}: {lines} lines, at most {LINES_MAX}", path.display()));
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
            let rules = RULES.iter().filter(|(_, breaks)| path != tidy() && breaks(path, line));
            broken.extend(
                rules.map(|(rule, _)| format!("{}:{}: {rule}: {line}", path.display(), number + 1)),
            );
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The table of limits in docs/OPERATING.md names metrics and tests that there are.
#[test]
fn each_limit_has_its_metric_and_its_test() {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &mut files);
    let sources: Vec<String> = files
        .iter()
        .filter(|file| *file != &root.join(tidy()))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let has = |text: &str| sources.iter().any(|source| source.contains(text));
    let page = fs::read_to_string(root.join("docs/OPERATING.md")).unwrap();
    let (_, section) =
        page.split_once("## Limits, their metrics and their tests").expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let mut rows = 0;
    for row in section.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let mut names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let test = names.pop().expect("a test");
        assert!(has(&format!("fn {test}(")), "no test {test}: {row}");
        for metric in names {
            let name = metric.splitn(3, '_').nth(2).expect("a metric's prefix");
            assert!(has(&format!("\"{name}\"")), "no metric {metric}: {row}");
        }
        rows += 1;
    }
    assert!(rows > 15, "the table was not found");
}

#[test]
fn every_crate_but_one_forbids_unsafe() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let roots = files.iter().filter(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        file.parent().unwrap().ends_with("src") && ["lib.rs", "main.rs"].contains(&name)
    });
    let without: Vec<_> = roots
        .filter(|file| !file.strip_prefix(root()).unwrap().starts_with("gateway/sys"))
        .filter(|file| !fs::read_to_string(file).unwrap().contains("#![forbid(unsafe_code)]"))
        .collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_session_does_no_input_or_output() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "gpusher-session"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"gpusher-proto"), "{crates:?}");
    for banned in ["tokio", "mio", "io-uring", "libc", "rustix", "socket2", "tonic", "hyper"] {
        assert!(!crates.contains(&banned), "gpusher-session depends on {banned}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// This file names what it bans.
fn tidy() -> &'static Path {
    Path::new("control/tests/tidy.rs")
}

/// The Rust files of the workspace.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            collect(&path, into);
        } else if name.ends_with(".rs") {
            into.push(path);
        }
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

fn is_sleep(line: &str) -> bool {
    line.contains("thread::sleep(") || line.contains("time::sleep(")
}

fn is_poll(line: &str) -> bool {
    let pause = line.split_once("from_millis(").and_then(|(_, rest)| rest.split_once(')'));
    pause
        .and_then(|(millis, _)| millis.parse().ok())
        .is_some_and(|millis: u64| millis <= POLL_MS_MAX)
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}
