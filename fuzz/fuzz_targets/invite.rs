//! Runs [`mathia_fuzz::invite`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::invite(data));
