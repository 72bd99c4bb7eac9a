//! Configurations that nobody would write: each is taken or refused with a reason, whatever it says.

use super::*;
use gpusher_proto::wire::fuzz::{Random, inputs};
use std::fs;
use std::path::Path;

/// What stands where something else should.
const WORDS: &[&str] = &[
    "true",
    "-1",
    "0",
    "1e308",
    "nan",
    "18446744073709551615",
    "9223372036854775807",
    "[]",
    "{}",
    "\"\"",
    "\"::\"",
    "\"sqlite://\"",
    "\"redis+cluster://\"",
    "\"https://user:secret@[::1]:0/\"",
    "[gateway]",
    "[[web]]",
    "1979-05-27",
];

/// Longer ones are damaged in a part: in the whole the first mistake would hide the others.
const PART_BYTES: usize = 600;

/// What is printed, what is shipped as an example, and what others could write; without the files that it names, which are not here.
fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = ["web.toml", "logic.toml", "message.toml"]
        .map(|name| root.join("../deploy/distributed").join(name));
    let own = fs::read_dir(root.join("src/config/corpus")).expect("the corpus is there");
    let mut files: Vec<_> = own.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files.extend(shipped);
    let names_none = |line: &&str| !line.contains("_file = ");
    let texts = files.iter().map(|file| {
        let text = fs::read_to_string(file).expect("readable");
        text.lines().filter(names_none).flat_map(|line| [line, "\n"]).collect()
    });
    texts.chain([DEFAULTS.to_owned()]).collect()
}

#[test]
fn the_corpus_is_taken() {
    for text in corpus() {
        if let Err(error) = Config::parse(&text, []) {
            panic!("{error}\n{text}");
        }
    }
}

#[test]
fn any_text_is_taken_or_refused_with_a_reason() {
    let (corpus, mut random) = (corpus(), Random::seeded());
    let (mut taken, mut refused) = (0, 0);
    for _ in inputs(2_000) {
        let mut text = corpus[random.below(corpus.len())].clone().into_bytes();
        if text.len() > PART_BYTES {
            text.drain(..random.below(text.len()));
            text.truncate(1 + random.below(PART_BYTES));
        }
        random.damage_text(&mut text, WORDS);
        let text = String::from_utf8_lossy(&text);
        // A key that is not known is refused whatever else there is.
        let variable = (format!("{ENVIRONMENT_PREFIX}X"), text.chars().take(20).collect());
        let variable = Some(variable).filter(|_| random.below(4) == 0);
        match Config::parse(&text, variable) {
            Ok(config) => {
                taken += 1;
                let _ = config.validate();
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "{text}");
            }
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "all are alike: {taken} taken, {refused} refused");
}
