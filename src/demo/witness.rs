//! Reads sealgate's own log, to show the demo's page what a browser hides from it.
//!
//! A page cannot see which cookies an answer sets, nor the answer to a request that another origin's page made. The log of
//! this process has both at level `debug`. The demo listens to it, and its API tells the page.
//!
//! # Invariants
//! - The log has no token and no value of a cookie. So this file cannot show one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Log, Metadata, Record};
use serde::Serialize;
use serde_json::{Value, json};

/// How many requests it remembers.
const REMEMBERED: usize = 64;

/// Listens to the log. Clones share what they hear.
#[derive(Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// The number of answers so far.
    count: u64,
    answers: VecDeque<Exchange>,
    cookies: Vec<Cookie>,
}

/// A request and its answer.
#[derive(Serialize)]
struct Exchange {
    id: String,
    method: String,
    path: String,
    /// The answer's number.
    n: u64,
    status: Option<u64>,
    outcome: String,
}

/// A cookie, as the last answer set it.
#[derive(Serialize)]
struct Cookie {
    name: String,
    bytes: u64,
    attributes: String,
    /// When a browser drops it; `None` if it keeps it as long as it runs.
    #[serde(skip)]
    until: Option<Instant>,
}

impl Witness {
    /// What it heard, as JSON, with the number of `forged` calls that reached the API.
    pub(super) fn report(&self, forged: usize) -> Value {
        let mut heard = self.heard();
        let now = Instant::now();
        let lives = |cookie: &Cookie| cookie.until.is_none_or(|until| now < until);
        heard.cookies.retain(lives);
        json!({ "count": heard.count, "answers": heard.answers, "cookies": heard.cookies, "forged": forged })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() == Level::Debug && metadata.target().starts_with("sealgate::server")
    }

    fn log(&self, record: &Record<'_>) {
        let text = |key: &str| {
            let value = record.key_values().get(key.into());
            value.map(|value| value.to_string()).unwrap_or_default()
        };
        let number = |key: &str| record.key_values().get(key.into())?.to_u64();
        let mut heard = self.heard();
        match record.args().as_str() {
            Some("answer") => {
                let n = heard.count + 1;
                heard.answer(Exchange {
                    id: text("id"),
                    method: text("method"),
                    path: text("path"),
                    n,
                    status: number("status"),
                    outcome: text("outcome"),
                });
            }
            // Those of the phone's frontend are none of this page's.
            Some("cookie") if !text("cookie").starts_with("sealgate-phone") => {
                let attributes = text("attributes");
                heard.cookie(Cookie {
                    name: text("cookie"),
                    bytes: number("bytes").unwrap_or_default(),
                    until: max_age(&attributes).and_then(|age| Instant::now().checked_add(age)),
                    attributes,
                });
            }
            _ => {}
        }
    }

    fn flush(&self) {}
}

impl Heard {
    fn answer(&mut self, answer: Exchange) {
        if self.answers.len() == REMEMBERED {
            self.answers.pop_front();
        }
        self.count = answer.n;
        self.answers.push_back(answer);
    }

    fn cookie(&mut self, cookie: Cookie) {
        self.cookies.retain(|known| known.name != cookie.name);
        self.cookies.push(cookie);
    }
}

/// RFC 6265 §5.2.2. Zero deletes the cookie.
fn max_age(attributes: &str) -> Option<Duration> {
    let seconds = attributes
        .split("; ")
        .find_map(|one| one.strip_prefix("Max-Age="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(witness: &Witness, message: &'static str, pairs: &[(&str, &str)]) {
        let record = |args| {
            Record::builder()
                .level(Level::Debug)
                .target("sealgate::server::response")
                .key_values(&pairs)
                .args(args)
                .build()
        };
        match message {
            "answer" => witness.log(&record(format_args!("answer"))),
            _ => witness.log(&record(format_args!("cookie"))),
        }
    }

    #[test]
    fn answers_are_remembered_and_cookies_come_and_go() {
        let witness = Witness::default();
        say(
            &witness,
            "answer",
            &[
                ("id", "1"),
                ("method", "POST"),
                ("path", "/a"),
                ("outcome", "cross-site-request"),
            ],
        );
        let cookie = |attributes| [("cookie", "c"), ("attributes", attributes)];
        say(&witness, "cookie", &cookie("Path=/; HttpOnly"));
        let report = witness.report(0);
        assert_eq!(report["answers"][0]["path"], "/a");
        assert_eq!(report["answers"][0]["outcome"], "cross-site-request");
        assert_eq!(report["answers"].as_array().map(Vec::len), Some(1));
        assert_eq!(report["cookies"][0]["attributes"], "Path=/; HttpOnly");
        say(&witness, "cookie", &cookie("Path=/; Max-Age=0; Expires=x"));
        assert_eq!(witness.report(0)["cookies"], json!([]));
    }

    #[test]
    fn it_forgets_old_answers() {
        let witness = Witness::default();
        for id in 0..200 {
            let id = id.to_string();
            say(&witness, "answer", &[("id", &id)]);
        }
        let report = witness.report(0);
        assert_eq!(report["answers"].as_array().map(Vec::len), Some(REMEMBERED));
        assert_eq!(report["count"], 200);
    }
}
