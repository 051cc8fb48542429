//! Runs [`mathia_fuzz::agent`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::agent(data));
