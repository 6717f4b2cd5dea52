//! Any headers, of any scheme or of several.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| violet_fuzz::any_headers(data));
