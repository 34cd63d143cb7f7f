//! An alarm for clocks that differ: compares the provider's `Date` with the time here.
//!
//! Lifetimes count from our own clock, so a wrong clock does not harm them. But ID tokens hold times of the provider's clock, and
//! if the two are further apart than `clock_skew`, every login fails. The log says why, before somebody has to guess.
//!
//! # Spec
//! RFC 9110 §6.6.1.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_http::header::HttpDate;
use openidconnect::HttpResponse;

use super::ClientSettings;
use crate::clock::UnixTime;
use crate::telemetry::Seldom;

/// When the last warning was given.
#[derive(Debug, Default)]
pub(super) struct Drift(Seldom);

impl Drift {
    /// Warns if the two clocks differ too much, at most once an hour.
    pub(super) fn note(&self, answer: &HttpResponse, settings: &ClientSettings, now: UnixTime) {
        let Some(theirs) = date(answer) else { return };
        let apart = now.since(theirs).max(theirs.since(now));
        // The header and our clock count whole seconds.
        if apart <= settings.clock_skew + Duration::from_secs(1) {
            return;
        }
        if self.0.is_due(now) {
            log::warn!(
                "{:?}: its clock and the one here are {} s apart, more than clock_skew allows",
                settings.issuer,
                apart.as_secs()
            );
        }
    }
}

fn date(answer: &HttpResponse) -> Option<UnixTime> {
    let text = answer.headers().get("date")?.to_str().ok()?;
    let date: HttpDate = text.parse().ok()?;
    let since = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    Some(UnixTime::from_secs(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
