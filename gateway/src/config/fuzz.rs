//! Configurations that nobody would write: each is taken or refused with a reason, whatever it says.

use super::*;
use gpusher_proto::wire::fuzz::configurations;
use std::fs;
use std::path::Path;

/// What is printed, what is shipped as an example, and what others could write.
fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = ["gateway.toml"].map(|name| root.join("../deploy/distributed").join(name));
    let own = fs::read_dir(root.join("src/config/corpus")).expect("the corpus is there");
    let mut files: Vec<_> = own.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files.extend(shipped);
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("readable"));
    texts.chain([DEFAULTS.to_owned()]).collect()
}

#[test]
fn the_corpus_is_taken() {
    for text in corpus() {
        if let Err(error) = RuntimeConfig::parse(&text, []) {
            panic!("{error}\n{text}");
        }
    }
}

#[test]
fn any_text_is_taken_or_refused_with_a_reason() {
    configurations(&corpus(), ENVIRONMENT_PREFIX, 4_000, |text, variable| {
        RuntimeConfig::parse(text, variable).map(|config| _ = config.validate())
    });
}
