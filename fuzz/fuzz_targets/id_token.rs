//! Nothing unsigned is believed, and nothing signed that is not for this login.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::id_token(data);
});
