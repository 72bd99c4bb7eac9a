//! A million random inputs, and a million damaged frames, go through the codec in both roles. None panics, and what it reads it can write.

use gpusher_proto::wire::fuzz::{Random, frames, inputs};
use std::fs;
use std::path::Path;

const INPUTS: usize = 1_000_000;

#[test]
fn on_random_bytes() {
    let mut random = Random::seeded();
    let mut input = Vec::new();
    for _ in inputs(INPUTS) {
        random.fill(&mut input, 48);
        frames(&input);
    }
}

#[test]
fn on_damaged_frames() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/frames");
    let seeds: Vec<Vec<u8>> = fs::read_dir(corpus)
        .expect("the corpus is there")
        .map(|entry| fs::read(entry.expect("readable").path()).expect("readable"))
        .filter(|seed| seed.len() <= 256)
        .collect();
    assert!(seeds.len() > 20);
    let mut random = Random::seeded();
    let mut input = Vec::new();
    for _ in inputs(INPUTS) {
        input.clear();
        input.extend_from_slice(&seeds[random.below(seeds.len())]);
        random.damage(&mut input);
        frames(&input);
    }
}
