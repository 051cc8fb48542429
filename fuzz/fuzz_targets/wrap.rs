//! Runs [`mathia_fuzz::wrap`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::wrap(data));
