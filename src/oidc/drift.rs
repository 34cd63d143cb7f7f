//! An alarm for clocks that differ: compares the provider's `Date` with the time here.
//!
//! Lifetimes count from our own clock, so a wrong clock does not harm them. But ID tokens hold times of the provider's clock, and
//! if the two are further apart than `clock_skew`, every login fails. The log says why, before somebody has to guess, and
//! `--check --online` says it before the first login.
//!
//! # Spec
//! RFC 9110 §6.6.1; RFC 9111 §5.1: what a cache answers was made `Age` seconds after its `Date`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_http::header::HttpDate;
use openidconnect::HttpResponse;

use super::ClientSettings;
use crate::clock::UnixTime;
use crate::telemetry::Seldom;

/// What to do about it.
pub(super) const REMEDY: &str = "let NTP set the clock of this machine, and the provider's; timedatectl shows whether it does here";

/// The provider's clock, as its last answer told it.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// Seconds that it is ahead of ours. Negative: behind.
    ahead: AtomicI64,
    told: Seldom,
}

impl Drift {
    /// Warns if the two clocks differ too much, at most once an hour.
    pub(super) fn note(&self, answer: &HttpResponse, settings: &ClientSettings, now: UnixTime) {
        let Some(theirs) = date(answer) else { return };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        // One of the two is zero.
        let ahead = seconds(theirs.since(now)) - seconds(now.since(theirs));
        self.ahead.store(ahead, Ordering::Relaxed);
        if let Some(apart) = self.too_far(settings)
            && self.told.is_due(now)
        {
            log::warn!(
                "{:?}: {apart}, so logins can fail: {REMEDY}",
                settings.issuer
            );
        }
    }

    /// How far the clocks are apart, if that is more than is allowed.
    pub(super) fn too_far(&self, settings: &ClientSettings) -> Option<String> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let (apart, skew) = (ahead.unsigned_abs(), settings.clock_skew.as_secs());
        let side = if ahead > 0 { "ahead" } else { "behind" };
        // The header and our clock count whole seconds.
        (apart > skew + 1).then(|| {
            format!("its clock and the one here are {apart} s apart (the provider's is {side}), more than clock_skew ({skew} s) allows")
        })
    }
}

fn date(answer: &HttpResponse) -> Option<UnixTime> {
    let text = |name: &str| answer.headers().get(name)?.to_str().ok();
    let date: HttpDate = text("date")?.parse().ok()?;
    let since = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    let age = text("age").and_then(|age| age.parse::<u32>().ok());
    Some(UnixTime::from_secs(
        since.as_secs() + u64::from(age.unwrap_or(0)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_too_far_apart_are_told_with_the_side() {
        let settings = crate::oidc::samples::settings("https://id.test", "shop", "");
        let skew = settings.clock_skew.as_secs();
        let told = |now: u64| {
            let drift = Drift::default();
            let answer = http::Response::builder().header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
            let answer = answer.header("age", "10").body(Vec::new()).unwrap();
            drift.note(&answer, &settings, UnixTime::from_secs(now));
            drift.too_far(&settings)
        };
        // 10 s after its date.
        let theirs = 784_111_787;
        for close in [theirs, theirs - skew - 1, theirs + skew + 1] {
            assert_eq!(told(close), None, "{close}");
        }
        for (now, words) in [
            (theirs - 300, "300 s apart (the provider's is ahead)"),
            (theirs + skew + 2, "s apart (the provider's is behind)"),
        ] {
            let told = told(now).unwrap();
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn the_date_is_read_as_rfc_9110_writes_it() {
        let read = |text: &str| {
            let answer = http::Response::builder().header("date", text);
            date(&answer.body(Vec::new()).unwrap()).map(UnixTime::as_secs)
        };
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for none in ["", "soon", "784111777", "Sun, 06 Nov 1994 08:49:61 GMT"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
