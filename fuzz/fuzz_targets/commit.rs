//! Runs [`mathia_fuzz::commit`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::commit(data));
