//! The logger that counts repeated lines instead of writing them, and does not log what a client does as an error.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use env_logger::Logger;
use log::kv::Value;
use log::{Level, Log as _, Metadata, Record};

use super::repeats::{Counted, Repeats, WINDOW};
use crate::clock::Clock;

/// Writes a line or counts it. Clones share the counts.
#[derive(Clone)]
pub(super) struct Quiet(Arc<Shared>);

struct Shared {
    logger: Logger,
    repeats: Mutex<Repeats>,
    /// Tells the thread that a line was counted.
    has_counted: Condvar,
    clock: Clock,
}

impl Quiet {
    pub(super) fn new(logger: Logger) -> Self {
        Self(Arc::new(Shared {
            logger,
            repeats: Mutex::default(),
            has_counted: Condvar::new(),
            clock: Clock::system(),
        }))
    }

    /// Starts the thread that writes the counts.
    pub(super) fn start(&self) {
        let quiet = self.clone();
        let name = "log".to_owned();
        // Without the thread only `flush` writes them. That is not a reason to refuse to start.
        let _ = thread::Builder::new()
            .name(name)
            .spawn(move || quiet.write_counts());
    }

    pub(super) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.logger.enabled(metadata)
    }

    /// Whether the filter lets the line through: it is written or counted.
    pub(super) fn log(&self, record: &Record<'_>) -> bool {
        let metadata = record.metadata();
        let metadata = Metadata::builder()
            .target(metadata.target())
            .level(heard_as(metadata))
            .build();
        let record = Record::builder()
            .metadata(metadata)
            .args(*record.args())
            .module_path(record.module_path())
            .file(record.file())
            .line(record.line())
            .key_values(record.key_values())
            .build();
        let matches = self.0.logger.matches(&record);
        if matches && self.pass(&record) {
            self.0.logger.log(&record);
        }
        matches
    }

    pub(super) fn flush(&self) {
        self.write(true);
        self.0.logger.flush();
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        // A count that is off by one does no harm.
        let repeats = self.0.repeats.lock();
        repeats.unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, record: &Record<'_>) -> bool {
        let now = self.0.clock.monotonic();
        let passes = self.repeats().pass(record, now);
        if !passes {
            self.0.has_counted.notify_one();
        }
        passes
    }

    /// Sleeps until a line was counted, then for one window, then writes the counts, and begins again.
    fn write_counts(&self) {
        loop {
            let mut repeats = self.repeats();
            while !repeats.has_counted() {
                let woken = self.0.has_counted.wait(repeats);
                repeats = woken.unwrap_or_else(PoisonError::into_inner);
            }
            drop(repeats);
            thread::sleep(WINDOW);
            self.write(false);
        }
    }

    fn write(&self, all: bool) {
        let counted = self.repeats().counted(self.0.clock.monotonic(), all);
        for (line, more) in counted {
            let Counted {
                level,
                target,
                message,
                fields,
            } = line;
            let fields = fields
                .iter()
                .map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
            let fields: Vec<_> = fields.collect();
            let seconds = WINDOW.as_secs();
            // It is one statement because `format_args!` lives no longer.
            self.0.logger.log(
                &Record::builder()
                    .level(level)
                    .target(&target)
                    .key_values(&fields)
                    .args(format_args!(
                        "{message} (… {more} more of these in the last {seconds} s)"
                    ))
                    .build(),
            );
        }
    }
}

/// The level of a line. Libraries that talk to clients and upstreams log their faults as errors, which are not errors of
/// ours.
fn heard_as(metadata: &Metadata<'_>) -> Level {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    match crate_name {
        "actix_http" | "actix_tls" | "h2" | "hyper" | "hyper_util" | "rustls" | "tokio_rustls" => {
            metadata.level().max(Level::Info)
        }
        // What it says of its own start helps nobody who runs sealgate.
        "actix_server" if metadata.level() == Level::Info => Level::Debug,
        _ => metadata.level(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_say_counts_as_what_it_means_here() {
        // P of the review
        for (target, level, expect) in [
            ("actix_http::h1::dispatcher", Level::Error, Level::Info),
            ("rustls::common_state", Level::Warn, Level::Info),
            ("hyper::proto", Level::Debug, Level::Debug),
            ("actix_server::accept", Level::Error, Level::Error),
            ("actix_server::builder", Level::Info, Level::Debug),
            ("sealgate::bff", Level::Error, Level::Error),
        ] {
            let metadata = Metadata::builder().target(target).level(level).build();
            assert_eq!(heard_as(&metadata), expect, "{target} {level}");
        }
    }
}
