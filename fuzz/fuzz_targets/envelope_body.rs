//! Behind the AEAD: any plaintext that decodes encodes to the same bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::envelope_body(data);
});
