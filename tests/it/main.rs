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

mod access_log;
mod admin;
mod advisories;
mod architecture;
mod assets;
mod backchannel;
mod claims;
mod cli;
mod client;
mod client_certificate;
mod client_keys;
mod client_token;
mod commands;
mod compose;
mod composed_example;
mod configuration;
mod connections;
mod coordination;
mod corpus;
mod crossing;
mod crowd;
mod csrf;
mod dashboards;
mod demo;
mod deploy;
mod device;
mod documents;
mod dpop;
mod egress;
mod errors_are_opaque;
mod exchange;
mod exchanged_tokens;
mod explain;
mod fapi2_message_signing_final_client_test;
mod fapi2_security_profile_final_client_test;
mod faults;
mod files;
mod foot_guns;
mod fuzz_corpus;
mod hostile_parts;
mod hostile_provider;
mod http2;
mod invitations;
mod keys;
mod lifetimes;
mod limits;
mod links;
mod login;
mod logout;
mod lost_answers;
mod measured;
mod mistakes;
mod native;
mod native_calls;
mod native_grants;
mod native_proofs;
mod one_line;
mod one_line_rows;
mod outages;
mod pages;
mod part_failures;
mod places;
mod policy;
mod provider_settings;
mod providers;
mod proxy;
mod pushed_requests;
mod readme;
mod recipes;
mod refresh;
mod refused_refresh;
mod refused_token;
mod release;
mod reload;
mod repeats;
mod replicas;
mod request_ids;
mod request_objects;
mod response_modes;
mod routes;
mod same_session;
mod session;
mod shutdown;
mod sizes;
mod speculative;
mod step_up;
mod streams;
mod support;
mod tenants;
mod tls;
#[path = "../bench/token_sets.rs"]
mod token_sets;
mod traces;
mod tunnel;
mod user;
mod ways_back;
mod websocket;
