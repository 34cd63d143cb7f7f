//! What is said of a subject at most once a minute, for a bounded number of subjects.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::UnixTime;

/// How long it is quiet about a subject after a line.
const QUIET: Duration = Duration::from_mins(1);

/// Subjects at a time. What comes beside them within a minute is not told: clients choose subjects.
const MOST: usize = 16;

/// Which subjects were told of in the last minute.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<HashMap<String, UnixTime>>);

impl Seldom {
    /// Whether it is time for a line about this subject; then that counts as told.
    pub fn may_tell(&self, subject: &str, now: UnixTime) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back silences nobody for longer.
        told.retain(|_, at| *at <= now && now.since(*at) < QUIET);
        if told.contains_key(subject) || told.len() >= MOST {
            return false;
        }
        told.insert(subject.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_told_of_once_a_minute_and_only_some_are() {
        let seldom = Seldom::default();
        let at = UnixTime::from_secs;
        assert!(seldom.may_tell("a", at(100)));
        assert!(!seldom.may_tell("a", at(159)));
        assert!(seldom.may_tell("b", at(159)));
        assert!(seldom.may_tell("a", at(160)));
        let told = (0..1000).filter(|n| seldom.may_tell(&n.to_string(), at(170)));
        assert_eq!(told.count(), MOST - 2);
        assert!(seldom.may_tell("c", at(300)));
        assert!(seldom.may_tell("c", at(200)), "the clock was set back");
    }
}
