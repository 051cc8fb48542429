//! Runs [`mathia_fuzz::page`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mathia_fuzz::page(data));
