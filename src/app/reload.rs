//! Reads the whole configuration again, and puts it in use if there is no mistake in it.
//!
//! # Invariants
//! - Requests see one whole, valid configuration. They see the new one from the next request on.
//! - What a mistake is at the start is a mistake here, found by the same code. Then the old configuration stays.
//! - What only a restart can change is named in the log, and nothing else is left out.
//! - Files are read on a thread of its own: a file system that does not answer holds up neither a worker nor the end of the
//!   process.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::fixed::Fixed;
use super::{configured, discover, hung_up, known, longest_session};
use crate::bff::Bff;
use crate::clock::Clock;
use crate::config::{Config, FileStates, Sources};
use crate::proxy::Upstreams;
use crate::telemetry::metrics::ReloadResult;

/// How often files are read again that change while they are read. Then they count as they are, right or wrong.
const READINGS: u32 = 4;

/// What is known of the configuration in use, to compare the files with.
pub(super) struct Reload {
    sources: Sources,
    fixed: Fixed,
    files: Vec<PathBuf>,
    states: FileStates,
    /// What was wrong at the last look, if anything was.
    wrong: Option<String>,
}

/// What a look at the files came to.
enum Found {
    Changed(Box<Config>, FileStates),
    Rejected(String),
    Unchanged,
}

impl Reload {
    pub(super) fn of(config: &Config, sources: Sources) -> Self {
        Self {
            sources,
            fixed: Fixed::of(config),
            files: config.files.clone(),
            states: FileStates::of(&config.files),
            wrong: None,
        }
    }

    /// Looks at the configured interval and on SIGHUP.
    pub(super) async fn keep_fresh(mut self, bff: Arc<Bff>) {
        let mut signals = signal(SignalKind::hangup()).ok();
        loop {
            let interval = bff.configured.load().reload_interval;
            let is_asked = tokio::select! {
                () = tokio::time::sleep(interval) => false,
                () = hung_up(&mut signals) => true,
            };
            if is_asked {
                log::info!("SIGHUP: reading the configuration again");
            }
            self.look(&bff, is_asked).await;
        }
    }

    async fn look(&mut self, bff: &Arc<Bff>, is_asked: bool) {
        let look = Look {
            sources: self.sources.clone(),
            files: self.files.clone(),
            states: self.states.clone(),
            clock: bff.clock.clone(),
            // A mistake may be gone although no file has changed: a directory is there again.
            is_unconditional: is_asked || self.wrong.is_some(),
        };
        let result = match look.on_a_thread().await {
            Found::Unchanged => {
                if is_asked || self.wrong.is_some() {
                    log::info!("the configuration is the one in use");
                }
                self.wrong = None;
                ReloadResult::Unchanged
            }
            Found::Changed(config, states) => match self.put_in_use(*config, states, bff) {
                Ok(()) => ReloadResult::Ok,
                Err(mistakes) => self.reject(mistakes.replace('\n', "; "), is_asked),
            },
            Found::Rejected(why) => self.reject(why, is_asked),
        };
        bff.metrics.config_reloads.count(result);
    }

    fn put_in_use(
        &mut self,
        mut config: Config,
        states: FileStates,
        bff: &Arc<Bff>,
    ) -> Result<(), String> {
        // The workers make their own with the next request, when a mistake would be too late.
        Upstreams::new(&config.upstreams, &bff.metrics)?;
        let old = bff.configured.load_full();
        config.frontends = config.frontends.taking_over(&old.frontends);
        known::begin(&bff.metrics, &config);
        if let Some(coordinator) = &bff.coordinator {
            coordinator.allow_sessions_of(longest_session(&config.frontends));
        }
        for warning in &config.warnings {
            log::warn!("{warning}");
        }
        for key in self.fixed.differences(&config) {
            log::warn!(key = key;
                "{key} has changed, and that needs a restart: until then the old value stays in use");
        }
        self.files.clone_from(&config.files);
        self.states = states;
        self.wrong = None;
        bff.configured
            .store(Arc::new(configured(config, &bff.keys)));
        log::info!(target: "sealgate::audit", files = self.files.len(); "configuration reloaded");
        actix_web::rt::spawn(discover(Arc::clone(bff)));
        Ok(())
    }

    /// The log says the same only once, unless somebody asks again.
    fn reject(&mut self, why: String, is_asked: bool) -> ReloadResult {
        if is_asked || self.wrong.as_ref() != Some(&why) {
            log::error!("configuration not reloaded, the old one stays: {why}");
        }
        self.wrong = Some(why);
        ReloadResult::Rejected
    }
}

/// One look at the files, and what it needs to know.
struct Look {
    sources: Sources,
    files: Vec<PathBuf>,
    /// Those of the configuration in use.
    states: FileStates,
    clock: Clock,
    /// Whether everything is read even if no file has changed.
    is_unconditional: bool,
}

impl Look {
    async fn on_a_thread(self) -> Found {
        let (done, ended) = oneshot::channel();
        // Not a blocking task of the runtime: a process that ends would wait for it.
        let thread = thread::Builder::new().name("configuration".to_owned());
        let started = thread.spawn(move || {
            let _ = done.send(self.find());
        });
        match (started, ended.await) {
            (Ok(_), Ok(found)) => found,
            (Err(error), _) => Found::Rejected(format!("no thread can read it: {error}")),
            // The panic was logged.
            (Ok(_), Err(_)) => Found::Rejected("reading it did not end".to_owned()),
        }
    }

    fn find(mut self) -> Found {
        let mut before = FileStates::of(&self.files);
        if !self.is_unconditional && before == self.states {
            return Found::Unchanged;
        }
        if let Some(path) = before.read_once() {
            let path = path.display().to_string();
            let path = path.escape_debug();
            return Found::Rejected(format!(
                "{path} is a pipe or a device, which can be read once: name a file, or restart"
            ));
        }
        for _ in 1..READINGS {
            let read = self.read();
            let after = FileStates::of(&self.files);
            if before == after {
                return self.compare(read, after);
            }
            // A certificate may be new and its key still the old one.
            before = after;
        }
        let read = self.read();
        self.compare(read, before)
    }

    fn read(&mut self) -> Result<Config, String> {
        let written = self.sources.clone().read();
        let config = written.and_then(|written| written.resolve(&self.clock));
        let config = config.map_err(|errors| errors.on_one_line())?;
        self.files.clone_from(&config.files);
        Ok(config)
    }

    fn compare(&self, read: Result<Config, String>, states: FileStates) -> Found {
        match read {
            Err(why) => Found::Rejected(why),
            Ok(_) if states == self.states => Found::Unchanged,
            Ok(config) => Found::Changed(Box::new(config), states),
        }
    }
}
