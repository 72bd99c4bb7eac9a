//! Randomness that a printed seed repeats, and what it does to bytes and texts.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Numbers that look random (SplitMix64). For tests: a dependency would have no other use here.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Takes the seed from the environment's `SEED`, or makes one, and prints it either way.
    ///
    /// # Panics
    /// If `SEED` is no number.
    pub fn seeded() -> Self {
        let seed = match std::env::var("SEED") {
            Ok(text) => text.parse().expect("SEED is a number"),
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        println!("SEED={seed}");
        Self(seed)
    }

    /// The sequence of a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Another sequence of numbers, for a part that is to be repeatable by itself.
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Replaces the buffer by up to `bytes_max` random bytes, half of the time with a beginning that a frame could have.
    pub fn fill(&mut self, buffer: &mut Vec<u8>, bytes_max: usize) {
        buffer.clear();
        let len = self.below(bytes_max + 1);
        buffer.extend(
            std::iter::repeat_with(|| self.number().to_le_bytes()).take(len / 8 + 1).flatten(),
        );
        buffer.truncate(len);
        if len >= 8 && self.number().is_multiple_of(2) {
            let beginning = [0x45, (self.number() & 1) as u8, self.below(9) as u8, 0, 0, 0, 0];
            buffer[..7].copy_from_slice(&beginning);
            buffer[7] = self.below(len) as u8;
        }
    }

    /// Damages a text: bytes of it, or a word or number in it, for which one of these stands then.
    pub fn damage_text(&mut self, text: &mut Vec<u8>, words: &[&str]) {
        for _ in 0..=self.below(3) {
            if self.below(3) == 0 || text.is_empty() {
                self.damage(text);
                continue;
            }
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let at = self.below(text.len());
            let before = text[..at].iter().rev().take_while(|byte| is_word(byte)).count();
            let after = text[at..].iter().take_while(|byte| is_word(byte)).count();
            let word = words[self.below(words.len())];
            text.splice(at - before..at + after, word.bytes());
        }
    }

    /// Damages bytes as a bad peer would: flips, cuts, doubles or inserts.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let byte = self.number() as u8;
            match (self.below(5), bytes.get_mut(at)) {
                (0, _) => bytes.insert(at, byte),
                (1, _) => bytes.truncate(at),
                (2, _) => bytes.extend_from_within(at..),
                (3, Some(there)) => *there ^= 1 << (byte % 8),
                (_, Some(there)) => *there = byte,
                (_, None) => bytes.push(byte),
            }
        }
    }
}
