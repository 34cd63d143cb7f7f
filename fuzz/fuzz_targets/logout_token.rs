//! Nothing unsigned ends a session, and nothing signed that is no logout for this client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::logout_token(data);
});
