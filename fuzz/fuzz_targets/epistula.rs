//! Values of the headers of `epistula`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| violet_fuzz::headers_of(
    violet_chain::auth::Scheme::Epistula2,
    data
));
