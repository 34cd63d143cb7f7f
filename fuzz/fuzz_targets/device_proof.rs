//! What is accepted as a key file is the same key once written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::device_proof(data);
});
