//! What an operator sees: log lines here, numbers in [`metrics`], and traces by [`Span`].
//!
//! `main` calls [`init`] once. All other code uses the `log` macros with key-value pairs:
//! `log::info!(sid = short_id; "signed in")`. The logger adds the id, trace, frontend and route of the request that is
//! served ([`RequestScope`]). A line that names the cause of a problem has the problem's code as its field `code`: then the
//! answer with that problem has no line of its own.
//!
//! # Invariants
//! - One record is one line: control characters in messages and values are escaped, so a client cannot forge a line.
//! - A client cannot cause a line at the level `error`. A line that repeats is counted instead (`quiet`).
//! - Other crates log at `info` or above, whatever `RUST_LOG` says. Below that, some of them print whole requests with
//!   their tokens.

mod access;
pub mod attribute;
pub mod coordination;
mod filter;
mod label;
mod line;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod quiet;
mod repeats;
mod request_id;
mod request_scope;
mod seldom;
mod span;
mod trace_context;
mod unheard;
#[cfg(not(feature = "otlp"))]
mod unrecorded;

use env_logger::Builder;
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use quiet::Quiet;

#[cfg(feature = "otlp")]
use otlp as recorder;
#[cfg(not(feature = "otlp"))]
use unrecorded as recorder;

pub use access::{AccessLine, Subject, Telling};
pub use filter::LogFilter;
pub use label::Label;
pub(crate) use label::words;
pub use recorder::{BadEnvironment, Recorder};
pub use request_id::RequestId;
pub use request_scope::{RequestScope, take_along, take_along_blocking, with_request};
pub use seldom::Seldom;
pub use span::{Span, SpanName, begin_request};
pub use trace_context::TraceContext;
pub use unheard::Unheard;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object on each line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Starts to log to stderr. An error means that it was started before.
///
/// `listener` gets every record of this crate that it is enabled for, whatever the filter says.
pub fn init(
    format: LogFormat,
    filter: &LogFilter,
    listener: Option<Box<dyn Log>>,
) -> Result<(), SetLoggerError> {
    let logger = Builder::new()
        .parse_filters(filter.spec())
        .format(move |out, record| {
            let at = out.timestamp_millis().to_string();
            match format {
                LogFormat::Json => line::json(out, &at, record),
                LogFormat::Text => line::text(out, &at, record),
            }
        })
        .build();
    let level = match listener {
        Some(_) => logger.filter().max(LevelFilter::Debug),
        None => logger.filter(),
    };
    let logger = Quiet::new(logger);
    let capped = Capped {
        logger: logger.clone(),
        listener,
    };
    log::set_boxed_logger(Box::new(capped))?;
    log::set_max_level(level);
    logger.start();
    Ok(())
}

/// A logger that takes `debug` and `trace` from this crate only.
struct Capped {
    logger: Quiet,
    listener: Option<Box<dyn Log>>,
}

impl Capped {
    fn listener(&self, metadata: &Metadata<'_>) -> Option<&dyn Log> {
        let listener = self.listener.as_deref()?;
        (is_ours(metadata) && listener.enabled(metadata)).then_some(listener)
    }
}

impl Log for Capped {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        may_speak(metadata) && (self.logger.enabled(metadata) || self.listener(metadata).is_some())
    }

    fn log(&self, record: &Record<'_>) {
        with_request(record, |record| {
            let is_written = may_speak(record.metadata()) && self.logger.log(record);
            if let Some(listener) = self.listener(record.metadata()) {
                listener.log(record);
            }
            is_written
        });
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

fn may_speak(metadata: &Metadata<'_>) -> bool {
    is_ours(metadata) || metadata.level() <= LevelFilter::Info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_never_speak_below_info() {
        // F14
        for (target, level, expect) in [
            ("sealgate::token", log::Level::Trace, true),
            ("sealgate", log::Level::Debug, true),
            ("sealgate_evil", log::Level::Debug, false),
            ("awc::client", log::Level::Debug, false),
            ("hyper::proto", log::Level::Trace, false),
            ("actix_server", log::Level::Info, true),
            ("rustls", log::Level::Warn, true),
        ] {
            let metadata = Metadata::builder().target(target).level(level).build();
            assert_eq!(may_speak(&metadata), expect, "{target} {level}");
        }
    }
}
