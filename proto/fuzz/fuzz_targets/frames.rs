//! Any bytes as a peer's, in both roles. `cargo +nightly fuzz run frames`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gpusher_proto::wire::fuzz::frames(data));
