//! What the fuzz targets and the tests run: claims that hold for any bytes, and randomness that a printed seed repeats.

use super::v1::{ClientFrame, ServerFrame};
use super::{BODY_BYTES_MAX, RawFrame, Split, inflate, split, v0, v1};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// Inflated bodies are small here: a bomb costs time, and its limit has a test of its own.
const INFLATED_BYTES_MAX: usize = 1 << 12;

/// Reads the bytes as a peer's, in both roles. What can be read can be written, at the announced size, and reads the same again.
///
/// # Panics
/// When the codec breaks that claim.
pub fn frames(mut data: &[u8]) {
    loop {
        match split(data, BODY_BYTES_MAX) {
            Err(_) => return,
            Ok(Split::Incomplete { need }) => {
                assert!(need > data.len());
                return;
            }
            Ok(Split::Whole { frame, len }) => {
                assert!(split(&data[..len - 1], BODY_BYTES_MAX).is_ok());
                match frame {
                    RawFrame::V0(frame) => frame_v0(frame),
                    RawFrame::V1(raw) => frame_v1(raw),
                }
                data = &data[len..];
            }
        }
    }
}

fn frame_v0(frame: v0::Frame<'_>) {
    let again = frame.to_vec();
    assert_eq!(again.len(), frame.encoded_len());
    assert_eq!(whole(&again), RawFrame::V0(frame));
    let inflated = if frame.compressed {
        let Ok(inflated) = inflate(frame.body, INFLATED_BYTES_MAX) else { return };
        assert!(inflated.len() <= INFLATED_BYTES_MAX);
        inflated
    } else {
        Vec::new()
    };
    let body = if frame.compressed { &inflated } else { frame.body };
    if let Ok(login) = v0::Login::decode(body) {
        assert_eq!(v0::Login::decode(&login.to_json()), Ok(login));
    }
    if let Ok(upstream) = v0::Upstream::decode(body) {
        let _ = upstream.content();
        assert_eq!(v0::Upstream::decode(&upstream.to_json()), Ok(upstream.clone()));
    }
    if let Ok(push) = v0::Push::decode(body) {
        let _ = push.content();
        assert_eq!(v0::Push::decode(&push.to_json()), Ok(push.clone()));
    }
    if let Ok(answer) = v0::Answer::decode(body) {
        assert_eq!(v0::Answer::decode(&answer.to_json()), Ok(answer));
    }
    if let Ok(refusal) = v0::Refusal::decode(body) {
        assert_eq!(v0::Refusal::decode(&refusal.to_json()), Ok(refusal.clone()));
    }
}

fn frame_v1(raw: v1::RawFrame<'_>) {
    if let Ok(frame) = ClientFrame::decode(raw) {
        let again = frame.to_vec().expect("what was read can be written");
        assert_eq!(again.len(), frame.encoded_len());
        assert_eq!(whole(&again), RawFrame::V1(raw), "clients have one way to say a thing");
    }
    if let Ok(frame) = ServerFrame::decode(raw) {
        let again = frame.to_vec();
        assert_eq!(again.len(), frame.encoded_len());
        let RawFrame::V1(raw) = whole(&again) else { panic!("another version") };
        assert_eq!(ServerFrame::decode(raw), Ok(frame));
    }
}

fn whole(bytes: &[u8]) -> RawFrame<'_> {
    match split(bytes, BODY_BYTES_MAX) {
        Ok(Split::Whole { frame, len }) if len == bytes.len() => frame,
        other => panic!("not one whole frame: {other:?}"),
    }
}

/// Numbers the inputs to try: so many as a test usually does, or as many as fit in the time that the environment's `FUZZ_S` gives each test. In the end it
/// prints how many those were.
///
/// # Panics
/// If `FUZZ_S` is no number of seconds.
pub fn inputs(usual: usize) -> impl Iterator<Item = usize> {
    let seconds = std::env::var("FUZZ_S").ok();
    let time = seconds.map(|text| Duration::from_secs(text.parse().expect("FUZZ_S is a number")));
    let begin = Instant::now();
    (0..).take_while(move |&done| {
        let more = match time {
            None => done < usual,
            Some(time) => begin.elapsed() < time,
        };
        if !more {
            println!("INPUTS={done}");
        }
        more
    })
}

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
