//! The jar against a browser that keeps cookies as RFC 6265bis says.

mod budget;
mod envelope;
mod lifetimes;
mod login;
mod logout;
mod opened;
mod tamper;
mod vectors;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::samples::{now, ring, ring_of, session_of};
use super::{Jar, Loaded, Session, SetCookies, Wallet};
use crate::clock::UnixTime;
use crate::keyring::KeyRing;

const BASE: &str = "__Host-Http-shop";

/// A browser's store for one origin: name to value and attributes. Time stands still in it.
#[derive(Clone, Default)]
struct Browser(BTreeMap<String, (String, String)>);

impl Browser {
    /// Takes an answer's `Set-Cookie` lines, with the checks of RFC 6265bis §5.6 and §5.7 that concern us.
    fn take(&mut self, out: &SetCookies) {
        let mut seen = Vec::new();
        for line in out.lines() {
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.len() + value.len() <= 4096, "C1: {} bytes", pair.len());
            assert!(
                attributes.contains("Path=/") && !attributes.contains("Domain"),
                "C7"
            );
            assert!(attributes.contains("; HttpOnly; SameSite="), "C16: {line}");
            assert_eq!(
                attributes.contains("; Secure; "),
                name.starts_with("__"),
                "{line}"
            );
            assert!(!seen.contains(&name), "C8: {name} twice");
            seen.push(name);
            if attributes.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0
                    .insert(name.to_owned(), (value.to_owned(), attributes.to_owned()));
            }
        }
    }

    /// The `Cookie` header for an API route.
    fn header(&self) -> String {
        self.header_where(|attributes| attributes.starts_with("Path=/; "))
    }

    /// The header of a navigation that another site began, such as a callback.
    fn cross_site_header(&self) -> String {
        self.header_where(|a| a.starts_with("Path=/; ") && !a.contains("SameSite=Strict"))
    }

    fn header_where(&self, sent: impl Fn(&str) -> bool) -> String {
        let pairs = self
            .0
            .iter()
            .filter(|(_, (_, attributes))| sent(attributes));
        let pairs: Vec<String> = pairs
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn value(&self, name: &str) -> &str {
        &self.0[name].0
    }
}

/// The wallet of a request with this `Cookie` header.
fn wallet<'r>(jar: &'r Jar, header: &'r str, keys: &Arc<KeyRing>, at: UnixTime) -> Wallet<'r> {
    let lines = std::iter::once(header.as_bytes());
    jar.wallet(lines, Arc::clone(keys), at)
}

/// What `act` gives with such a wallet, and the answer's cookies.
fn answer<T>(
    jar: &Jar,
    header: &str,
    keys: &Arc<KeyRing>,
    at: UnixTime,
    act: impl FnOnce(&mut Wallet<'_>) -> T,
) -> (T, SetCookies) {
    let mut wallet = wallet(jar, header, keys, at);
    let result = act(&mut wallet);
    (result, wallet.into_set_cookies())
}

/// The answer's cookies after `act`.
fn sets<T>(
    jar: &Jar,
    header: &str,
    keys: &Arc<KeyRing>,
    at: UnixTime,
    act: impl FnOnce(&mut Wallet<'_>) -> T,
) -> SetCookies {
    answer(jar, header, keys, at, act).1
}

/// Loads what a header holds, and gives the answer's cookies.
fn load(jar: &Jar, header: &str, keys: &Arc<KeyRing>, at: UnixTime) -> (Loaded, SetCookies) {
    let mut wallet = wallet(jar, header, keys, at);
    let loaded = wallet.load();
    (loaded, wallet.into_set_cookies())
}

/// Names that an answer deletes; it must set nothing.
fn deleted(out: &SetCookies) -> Vec<&str> {
    assert!(
        out.lines()
            .all(|line| line.contains("=; Path=/") && line.contains("; Max-Age=0; "))
    );
    out.names().collect()
}

/// A browser that holds this session.
fn holding(jar: &Jar, session: &Session, keys: &Arc<KeyRing>) -> Browser {
    let mut browser = Browser::default();
    browser.take(&sets(jar, "", keys, now(), |wallet| {
        wallet.store(session).unwrap()
    }));
    browser
}

/// Length of an access token that makes this many chunks.
const fn len_of_chunks(count: usize) -> usize {
    count * 3700 - 1000
}

#[test]
fn the_sample_lengths_make_the_chunks_they_say() {
    let (jar, keys) = (super::samples::jar(), ring());
    for count in 1..=4 {
        let browser = holding(&jar, &session_of(len_of_chunks(count), now()), &keys);
        assert_eq!(browser.names().len(), count);
    }
}
