//! Lines that repeat: they are counted, not written.
//!
//! The logger asks [`Repeats::pass`] about each line, and writes what [`Repeats::counted`] gives once a window is over. A
//! client or a broken upstream can cause a line as often as it likes, but disks and readers have limits.
//!
//! # Invariants
//! - One cause does not hide another. Two lines are the same only if they have the same level, place in the code, words
//!   and fields. Only the identity of the request may differ. Every count is written, with the words of the last line.
//! - Memory is bounded by the number of places in the code that log, with [`MAX_KINDS`] at each.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher as _};
use std::time::Duration;

use log::kv::{self, Key, Value, VisitSource};
use log::{Level, Record};

/// How long repeated lines are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// How many lines of one kind are written within a window. The first few have ids that an operator may look for.
const WRITTEN: u64 = 3;

/// The most different lines of one place in the code within a window. If there are more, a client chooses a part of them.
const MAX_KINDS: usize = 64;

/// Lines of the audit say who did what and when, lines of the access log what was asked. Each of them counts by itself.
const EACH_COUNTS: [&str; 2] = ["sealgate::audit", super::access::TARGET];

/// Fields that only identify a request.
const OF_ONE_REQUEST: [&str; 2] = ["id", "trace"];

/// The lines of the present window.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<u64, Place>);

/// A place in the code.
#[derive(Debug, Default)]
struct Place {
    kinds: HashMap<u64, Kind>,
    /// The lines that `kinds` has no room for.
    others: Option<Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Duration,
    said: u64,
    /// The last line that was not written.
    counted: Option<Counted>,
}

/// Lines that were not written, and the words of the last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Counted {
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) message: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Repeats {
    /// Whether a line is to be written. If not, it has been counted.
    pub(super) fn pass(&mut self, record: &Record<'_>, now: Duration) -> bool {
        let is_audit = EACH_COUNTS.contains(&record.target()) && record.level() == Level::Info;
        // A person who turns on `debug` wants to see every line.
        if is_audit || record.level() > Level::Info {
            return true;
        }
        let message = record.args().to_string();
        let mut fields = Fields::default();
        // The visitor does not fail.
        let _ = record.key_values().visit(&mut fields);
        let place = hash(&(
            record.level(),
            record.target(),
            record.file(),
            record.line(),
        ));
        let kind = hash(&(&message, &fields.0));
        let kind = self.0.entry(place).or_default().kind(kind, now);
        kind.said += 1;
        if kind.said <= WRITTEN {
            return true;
        }
        kind.counted = Some(Counted {
            level: record.level(),
            target: record.target().to_owned(),
            message,
            fields: fields.0,
        });
        false
    }

    /// Whether there is something for [`counted`](Self::counted).
    pub(super) fn has_counted(&self) -> bool {
        let mut kinds = self.0.values().flat_map(Place::all);
        kinds.any(|kind| kind.counted.is_some())
    }

    /// The lines that were counted in windows that are over, or in all of them, each with its count.
    pub(super) fn counted(&mut self, now: Duration, all: bool) -> Vec<(Counted, u64)> {
        let mut counted = Vec::new();
        let mut is_over = |kind: &mut Kind| {
            let is_over = all || kind.is_over(now);
            if is_over && let Some(line) = kind.counted.take() {
                counted.push((line, kind.said - WRITTEN));
            }
            is_over
        };
        self.0.retain(|_, place| {
            place.kinds.retain(|_, kind| !is_over(kind));
            place.others.take_if(|kind| is_over(kind));
            place.all().next().is_some()
        });
        counted
    }
}

impl Place {
    fn kind(&mut self, kind: u64, now: Duration) -> &mut Kind {
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            self.kinds.retain(|_, kind| !kind.is_forgotten(now));
        }
        let has_room = self.kinds.len() < MAX_KINDS;
        let found = match self.kinds.entry(kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if has_room => new.insert(Kind::new(now)),
            // None of these is written. The first lines of the place have been.
            Entry::Vacant(_) => self.others.get_or_insert_with(|| Kind {
                said: WRITTEN,
                ..Kind::new(now)
            }),
        };
        if found.is_forgotten(now) {
            *found = Kind::new(now);
        }
        found
    }

    fn all(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values().chain(&self.others)
    }
}

impl Kind {
    const fn new(since: Duration) -> Self {
        Self {
            since,
            said: 0,
            counted: None,
        }
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= WINDOW
    }

    /// Its window is over, and nothing of it waits to be written.
    fn is_forgotten(&self, now: Duration) -> bool {
        self.counted.is_none() && self.is_over(now)
    }
}

#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        if !OF_ONE_REQUEST.contains(&key.as_str()) {
            self.0.push((key.to_string(), value.to_string()));
        }
        Ok(())
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says it at a time in seconds; whether it is written.
    fn say(repeats: &mut Repeats, at: u64, level: Level, message: &str, id: &str) -> bool {
        let fields = [("id", Value::from(id)), ("route", Value::from("orders"))];
        let args = format_args!("{message}");
        let record = Record::builder()
            .args(args)
            .level(level)
            .target("sealgate::proxy")
            .line(Some(7))
            .key_values(&fields)
            .build();
        repeats.pass(&record, Duration::from_secs(at))
    }

    #[test]
    fn what_is_said_again_is_counted_and_the_count_is_written_once() {
        // P of the review
        let mut repeats = Repeats::default();
        let written = (0..815)
            .filter(|n| say(&mut repeats, 100, Level::Warn, "refused", &n.to_string()))
            .count();
        assert_eq!(written, 3);
        assert!(repeats.has_counted());
        assert_eq!(repeats.counted(Duration::from_secs(109), false), []);
        let counted = repeats.counted(Duration::from_secs(110), false);
        let (line, more) = &counted[0];
        assert_eq!((line.message.as_str(), *more), ("refused", 812));
        assert_eq!(line.fields, [("route".to_owned(), "orders".to_owned())]);
        assert_eq!(counted.len(), 1);
        assert!(!repeats.has_counted());
        assert!(say(&mut repeats, 111, Level::Warn, "refused", "x"), "anew");
        assert!(say(&mut repeats, 111, Level::Debug, "refused", "x"));
    }

    #[test]
    fn another_cause_is_written_however_often_the_first_comes() {
        let mut repeats = Repeats::default();
        for _ in 0..100 {
            say(&mut repeats, 0, Level::Warn, "refused", "x");
        }
        assert!(say(&mut repeats, 0, Level::Warn, "certificate", "x"));
        assert!(say(&mut repeats, 0, Level::Error, "refused", "x"));
        // Few lines, far apart: nothing was counted, and all is forgotten.
        assert!(say(&mut repeats, 20, Level::Warn, "certificate", "x"));
    }

    #[test]
    fn memory_is_bounded_and_what_has_no_room_is_counted_too() {
        let mut repeats = Repeats::default();
        let written = (0..1000)
            .filter(|n| say(&mut repeats, 0, Level::Info, &format!("host {n}"), "x"))
            .count();
        assert_eq!(written, MAX_KINDS);
        let counted = repeats.counted(Duration::ZERO, true);
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].1, 1000 - MAX_KINDS as u64);
        assert!(repeats.0.is_empty());
    }
}
