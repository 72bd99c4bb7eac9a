//! One life of a session. `cargo +nightly fuzz run life`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gpusher_session::fuzz::life(data));
