//! A raw `Cookie` header never opens without the key, nor does a changed one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sealgate::fuzzing::cookie_header(data));
