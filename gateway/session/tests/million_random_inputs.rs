//! A million random and damaged lives of a session: none panics, and none holds more than its limits allow.

use gpusher_proto::wire::fuzz::{Random, inputs};
use gpusher_session::fuzz::life;
use std::fs;
use std::path::Path;

/// Damaged conversations are longer, and go deeper.
const RANDOM_LIVES: usize = 700_000;
const DAMAGED_LIVES: usize = 300_000;

#[test]
fn of_random_bytes() {
    let mut random = Random::seeded();
    let mut input = Vec::new();
    for _ in inputs(RANDOM_LIVES) {
        random.fill(&mut input, 48);
        life(&input);
    }
}

#[test]
fn of_damaged_conversations() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/life");
    let seeds: Vec<Vec<u8>> = fs::read_dir(corpus)
        .expect("the corpus is there")
        .map(|entry| fs::read(entry.expect("readable").path()).expect("readable"))
        .collect();
    assert!(seeds.len() > 3);
    let mut random = Random::seeded();
    let mut input = Vec::new();
    for _ in inputs(DAMAGED_LIVES) {
        input.clear();
        input.extend_from_slice(&seeds[random.below(seeds.len())]);
        random.damage(&mut input);
        life(&input);
    }
}
