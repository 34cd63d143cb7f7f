//! sealgate through its front door.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests fail by panicking, and their names are their documentation"
)]

mod admin;
mod architecture;
mod assets;
mod cli;
mod configuration;
mod csrf;
mod demo;
mod errors_are_opaque;
mod explain;
mod fuzz_corpus;
mod keys;
mod login;
mod logout;
mod proxy;
mod readme;
mod refresh;
mod replicas;
mod routes;
mod session;
mod shutdown;
mod sizes;
mod support;
mod tls;
#[path = "../bench/token_sets.rs"]
mod token_sets;
mod user;
