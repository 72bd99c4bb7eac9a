//! Configurations that nobody would write: each is taken or refused with a reason, whatever it says.

use super::*;
use gpusher_proto::wire::fuzz::configurations;
use std::fs;
use std::path::Path;

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
    configurations(&corpus(), ENVIRONMENT_PREFIX, 2_000, |text, variable| {
        Config::parse(text, variable).map(|config| _ = config.validate())
    });
}
