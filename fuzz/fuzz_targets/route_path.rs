//! A path has one reading, and leads to one route.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sealgate::fuzzing::route_path(data);
});
