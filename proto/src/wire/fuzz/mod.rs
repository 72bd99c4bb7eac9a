//! What the fuzz targets and the tests run: claims that hold for any bytes, and randomness that a printed seed repeats.

mod configurations;
mod random;

pub use configurations::configurations;
pub use random::Random;

use super::v1::{ClientFrame, ServerFrame};
use super::{BODY_BYTES_MAX, RawFrame, Split, inflate, split, v0, v1};
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
