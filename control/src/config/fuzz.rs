//! Configurations that nobody would write: each is taken or refused with a reason, whatever it says.

use super::*;
use gpusher_proto::wire::fuzz::{Random, inputs};

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

#[test]
fn any_text_is_taken_or_refused_with_a_reason() {
    let mut random = Random::seeded();
    let (mut taken, mut refused) = (0, 0);
    for _ in inputs(2_000) {
        let mut text = DEFAULTS.as_bytes().to_vec();
        // A few lines of it: in the whole file the first mistake would hide the others.
        let line = random.below(text.len());
        text.drain(..line);
        text.truncate(1 + random.below(600));
        random.damage_text(&mut text, WORDS);
        let text = String::from_utf8_lossy(&text);
        let variable = (format!("{ENVIRONMENT_PREFIX}X"), text.chars().take(20).collect());
        match Config::parse(&text, [variable]) {
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
    assert!(refused > 0, "nothing was damaged");
}
