//! Runs [`mathia_fuzz::user_link`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::user_link(data));
