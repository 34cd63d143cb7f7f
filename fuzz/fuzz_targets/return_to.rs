//! A place to return to is on the origin, and stays what it is.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::return_to(data);
});
