//! A value stays in its place, and an answer has one meaning.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::compose(data);
});
