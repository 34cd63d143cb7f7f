//! The rules that no input may break, each as a function that panics if an input breaks it. A file for each.
//!
//! `fuzz/fuzz_targets` calls them with inputs of the fuzzer, and `tests/it/fuzz_corpus.rs` with the corpus. [`sections`] is
//! for the benchmark, which compares with the bytes of a session.
//!
//! # Invariants
//! - The key is random and each process makes its own, so no input can have been sealed with it.

mod app_proof;
mod change;
mod compose;
mod cookie_header;
mod device_proof;
mod envelope_body;
mod id_token;
mod key_file;
mod logout_token;
mod provider;
mod return_to;
mod route_path;
mod scene;

use crate::clock::UnixTime;

pub use compose::compose;
pub use cookie_header::cookie_header;
pub use device_proof::device_proof;
pub use envelope_body::{envelope_body, sections};
pub use id_token::id_token;
pub use key_file::key_file;
pub use logout_token::logout_token;
pub use return_to::return_to;
pub use route_path::route_path;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
