//! Configurations that nobody would write, made of those that somebody would.

use super::{Random, inputs};
use std::fmt::Display;

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

/// Has damaged texts of the corpus read, now and then beside a variable of the environment that begins with `prefix` and that there is not; so many as
/// [`inputs`] says. Each is taken or refused with a reason.
///
/// # Panics
/// When one is refused without a reason, or all of them are alike.
pub fn configurations<E: Display>(
    corpus: &[String],
    prefix: &str,
    usual: usize,
    mut read: impl FnMut(&str, Option<(String, String)>) -> Result<(), E>,
) {
    let mut random = Random::seeded();
    let (mut taken, mut refused) = (0, 0);
    for _ in inputs(usual) {
        let whole = &corpus[random.below(corpus.len())];
        let text = damaged(&mut random, whole);
        // A key that is not known is refused whatever else there is.
        let variable = (format!("{prefix}X"), text.chars().take(20).collect());
        let variable = Some(variable).filter(|_| random.below(4) == 0);
        match read(&text, variable) {
            Ok(()) => taken += 1,
            Err(reason) => {
                refused += 1;
                assert!(!reason.to_string().is_empty(), "{text}");
            }
        }
    }
    println!("{taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "all are alike: {taken} taken, {refused} refused");
}

fn damaged(random: &mut Random, text: &str) -> String {
    let mut text = text.as_bytes().to_vec();
    if text.len() > PART_BYTES {
        text.drain(..random.below(text.len()));
        text.truncate(1 + random.below(PART_BYTES));
    }
    random.damage_text(&mut text, WORDS);
    String::from_utf8_lossy(&text).into_owned()
}
