//! Values of the headers of `btauth`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| violet_fuzz::headers_of(violet_chain::auth::Scheme::Btauth1, data));
