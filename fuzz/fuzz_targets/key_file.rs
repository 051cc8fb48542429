//! Runs [`mathia_fuzz::key_file`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::key_file(data));
