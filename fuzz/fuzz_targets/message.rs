//! Runs [`mathia_fuzz::message`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::message(data));
