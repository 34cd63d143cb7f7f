//! Every log line of the process at every level, kept so that tests can search it for secrets (F14).

use std::sync::{Mutex, Once, PoisonError};

static LINES: Mutex<String> = Mutex::new(String::new());
static INSTALLED: Once = Once::new();

struct Keep;

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        use std::fmt::Write as _;

        struct Fields<'a>(&'a mut String);
        impl<'kvs> log::kv::VisitSource<'kvs> for Fields<'_> {
            fn visit_pair(
                &mut self,
                key: log::kv::Key<'kvs>,
                value: log::kv::Value<'kvs>,
            ) -> Result<(), log::kv::Error> {
                let _ = write!(self.0, " {key}={value}");
                Ok(())
            }
        }

        let mut line = format!("{} {} {}", record.level(), record.target(), record.args());
        let _ = record.key_values().visit(&mut Fields(&mut line));
        if std::env::var_os("TEST_LOG").is_some() && record.level() <= log::Level::Debug {
            println!("{line}");
        }
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_str(&line);
        lines.push('\n');
    }

    fn flush(&self) {}
}

/// Begins to keep lines.
pub fn install() {
    INSTALLED.call_once(|| {
        log::set_logger(&Keep).expect("no other logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// Runs `search` over all lines so far.
pub fn search<T>(search: impl FnOnce(&str) -> T) -> T {
    search(&LINES.lock().unwrap_or_else(PoisonError::into_inner))
}
