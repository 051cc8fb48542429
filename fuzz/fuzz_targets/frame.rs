//! Runs [`mathia_fuzz::frame`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::frame(data));
