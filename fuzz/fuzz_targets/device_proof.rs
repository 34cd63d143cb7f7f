//! A proof of possession is accepted only for what it was signed for; claims of apps are signed here.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::device_proof(data);
});
