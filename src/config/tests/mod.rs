//! The way from text to domain values as a whole. The parts also have tests of their own.

mod any_value;
mod client_certificate;
mod client_keys;
mod device;
mod example;
mod fapi2;
mod keys;
mod layers;
mod mistakes;
mod native;
mod pages;
mod parts;
mod policies;
mod secrets;

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, UnixTime};
use crate::frontend::Frontend;
use crate::oidc::ClientSettings;
use crate::session::{Compression, SameSite};
use crate::telemetry::LogFormat;

/// A secret. It must not appear in any output.
const CANARY: &str = "canary-5e7a91c0";

const SHOP: &str = r#"
[upstream.orders]
url = "http://orders.internal:8080/v1/"

[frontend.shop]
origin = "https://shop.example.com"

[frontend.shop.oidc]
issuer = "https://id.example.com"
client_id = "shop"
client_secret = { env = "SHOP_CLIENT_SECRET" }

[frontend.shop.route.orders]
path = "/api/orders"
upstream = "orders"
"#;

fn environment(variables: &[(&str, &str)]) -> Environment {
    [("SHOP_CLIENT_SECRET", CANARY)]
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect()
}

/// Files `0.toml`, `1.toml`, … in a directory of their own.
fn layered(texts: &[&str], variables: &[(&str, &str)]) -> (Result<Written, ConfigErrors>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let files = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let path = dir.path().join(format!("{index}.toml"));
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let sources = Sources {
        files,
        environment: environment(variables),
        command_line: Vec::new(),
    };
    (sources.read(), dir)
}

fn resolve(written: &Written) -> Result<Config, ConfigErrors> {
    written.resolve(&Clock::fixed(UnixTime::from_secs(1_795_262_400)))
}

fn resolved(texts: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let (written, _dir) = layered(texts, variables);
    resolve(&written?)
}

/// The first frontend by name.
fn first(config: &Config) -> &Frontend {
    config.frontends.iter().next().unwrap()
}

fn client(config: &Config) -> &ClientSettings {
    first(config).provider.settings()
}

fn secret(config: &Config) -> &str {
    client(config).client_auth.secret().unwrap().secret()
}

/// The mistakes of [`SHOP`] with one more file on top.
fn mistakes(change: &str) -> Vec<String> {
    resolved(&[SHOP, change], &[])
        .err()
        .map(|errors| errors.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

/// Each change to [`SHOP`] makes one mistake, at a path and with a word in it. A change with an empty path makes none.
fn one_mistake_each(changes: &[(&str, &str, &str)]) {
    for (change, path, word) in changes {
        let said = mistakes(change);
        if path.is_empty() {
            assert_eq!(said, Vec::<String>::new(), "{change}");
        } else {
            assert_eq!(said.len(), 1, "{change}: {said:#?}");
            assert!(
                said[0].starts_with(&format!("{path} (")),
                "{change}: {said:?}"
            );
            assert!(said[0].contains(word), "{change}: {said:?}");
        }
    }
}
