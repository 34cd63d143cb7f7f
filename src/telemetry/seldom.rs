//! What is logged at most once in a while, however often it happens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::UnixTime;

/// The most subjects at a time. Clients can choose subjects. While so many are known, no line is due about another one.
const MOST: usize = 16;

/// When a line was last written about each subject. The default pause is an hour.
#[derive(Debug)]
pub struct Seldom {
    pause: Duration,
    told: Mutex<HashMap<String, UnixTime>>,
}

impl Seldom {
    /// After a line about a subject there is none about it for this long.
    pub fn every(pause: Duration) -> Self {
        Self {
            pause,
            told: Mutex::default(),
        }
    }

    /// Whether a line is due. The caller that gets `true` must write it.
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.is_due_about("", now)
    }

    /// Whether a line is due about this subject. The caller that gets `true` must write it.
    pub fn is_due_about(&self, subject: &str, now: UnixTime) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not make the silence longer.
        told.retain(|_, at| *at <= now && now.since(*at) < self.pause);
        if told.contains_key(subject) || told.len() >= MOST {
            return false;
        }
        told.insert(subject.to_owned(), now);
        true
    }
}

impl Default for Seldom {
    fn default() -> Self {
        Self::every(Duration::from_hours(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_line_is_due_at_first_and_after_a_pause() {
        let seldom = Seldom::default();
        for (after, expected) in [
            (0, true),
            (0, false),
            (3_599, false),
            (3_600, true),
            (3_601, false),
            (1_800, true),
        ] {
            let now = UnixTime::from_secs(after);
            assert_eq!(seldom.is_due(now), expected, "{after}");
        }
    }

    #[test]
    fn each_subject_has_its_own_pause_and_their_number_is_bounded() {
        let seldom = Seldom::every(MINUTE);
        let at = UnixTime::from_secs;
        assert!(seldom.is_due_about("a", at(100)));
        assert!(!seldom.is_due_about("a", at(159)));
        assert!(seldom.is_due_about("b", at(159)));
        assert!(seldom.is_due_about("a", at(160)));
        let told = (0..1000).filter(|n| seldom.is_due_about(&n.to_string(), at(170)));
        assert_eq!(told.count(), MOST - 2);
        assert!(seldom.is_due_about("c", at(300)));
        assert!(seldom.is_due_about("c", at(200)), "the clock was set back");
    }
}
