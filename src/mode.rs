//! What the program does: one function for each mode, each ending in an exit code.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealgate::app::{self, Listeners, StartError};
use sealgate::cli::{self, RotateKeys};
use sealgate::clock::Clock;
use sealgate::config::{self, Config, ConfigErrors, Sources};
use sealgate::keyring::{self, Alg, KeyRingError, Removal, RotateOptions};
use sealgate::telemetry;

/// Why a mode failed, as a message to the operator.
pub(crate) enum Failure {
    /// Exit code 78.
    Config(String),
    /// Exit code 1.
    Failed(String),
    /// Exit code 64.
    Usage(String),
}

impl Failure {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => cli::EXIT_CONFIG,
            Self::Failed(_) => cli::EXIT_FAILED,
            Self::Usage(_) => cli::EXIT_USAGE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) | Self::Failed(text) | Self::Usage(text) => f.write_str(text),
        }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors.to_string())
    }
}

impl From<KeyRingError> for Failure {
    fn from(error: KeyRingError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Keys(error) => error.into(),
            StartError::Coordination(error) => Self::Config(error.to_string()),
            StartError::Traces(error) => Self::Config(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Serves until a signal ends it.
pub(crate) fn serve(files: Vec<PathBuf>) -> Result<(), Failure> {
    let clock = Clock::system();
    let sources = Sources::of_process(files);
    let files = sources.files.iter().map(|file| file.display().to_string());
    let names = files.collect::<Vec<_>>().join(", ");
    let config = sources.clone().read()?.resolve(&clock)?;
    begin(&config, None);
    log::info!(version = env!("CARGO_PKG_VERSION"), configuration = names; "sealgate");
    let listeners = app::listen(&config, &clock)?;
    run(config, sources, clock, listeners)
}

/// Starts the log, which also goes to `listener`.
fn begin(config: &Config, listener: Option<Box<dyn log::Log>>) {
    // This fails only after an earlier call, and there is none.
    let _ = telemetry::init(config.log_format, &config.log_filter, listener);
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
}

fn run(
    config: Config,
    sources: Sources,
    clock: Clock,
    listeners: Listeners,
) -> Result<(), Failure> {
    actix_web::rt::System::new().block_on(app::serve(config, sources, clock, listeners))?;
    Ok(())
}

/// Runs everything on loopback.
#[cfg(feature = "demo")]
pub(crate) fn demo() -> Result<(), Failure> {
    let clock = Clock::system();
    let (demo, public) = sealgate::demo::Demo::prepare(8080)?;
    let options = RotateOptions {
        alg: Alg::default(),
        activate_in: Duration::ZERO,
        retire_after: Duration::from_secs(24 * 60 * 60),
        drop: None,
        force: false,
    };
    keyring::rotate(&demo.keys_dir(), &options, clock.now())?;
    // The environment is left out: a variable for another sealgate must not change the demo.
    let sources = Sources {
        files: vec![demo.config_file()],
        ..Sources::default()
    };
    let config = sources.clone().read()?.resolve(&clock)?;
    begin(&config, Some(demo.witness()));
    let listeners = Listeners::beside(public, &config)?;
    print(&demo.banner())?;
    run(config, sources, clock, listeners)
}

/// Reports every mistake in configuration and key ring; with `online`, also what cannot be reached.
pub(crate) fn check(files: Vec<PathBuf>, online: bool) -> Result<(), Failure> {
    let clock = Clock::system();
    let mut mistakes = Vec::new();
    let written = Sources::of_process(files).read()?;
    let config = written
        .resolve(&clock)
        .map_err(|errors| mistakes.push(errors.to_string()))
        .ok();
    let mut warnings = Vec::new();
    if let Ok(dir) = written.keys_dir() {
        match keyring::KeyRing::load(&dir, clock.now()) {
            Ok(ring) => warnings.extend(ring.foreign().iter().map(ToString::to_string)),
            Err(error) => mistakes.push(error.to_string()),
        }
    }
    match telemetry::Recorder::check() {
        Ok(complaints) => warnings.extend(complaints),
        Err(error) => mistakes.push(error.to_string()),
    }
    let config = match config {
        Some(config) if mistakes.is_empty() => config,
        _ => return Err(Failure::Config(mistakes.join("\n"))),
    };
    for warning in config.warnings.iter().chain(&warnings) {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    if online {
        let reached = actix_web::rt::System::new().block_on(app::reach(&config));
        if !reached.failures.is_empty() {
            for note in &reached.notes {
                writeln!(io::stderr(), "note: {note}")?;
            }
            return Err(Failure::Failed(reached.failures.join("\n")));
        }
        for note in &reached.notes {
            print(&format!("note: {note}\n"))?;
        }
        print("identity providers and upstreams answer\n")?;
    }
    for hint in &config.hints {
        print(&format!("note: {hint}\n"))?;
    }
    print("the configuration and the key ring are fine\n")
}

/// Prints the effective configuration.
pub(crate) fn print_config(files: Vec<PathBuf>) -> Result<(), Failure> {
    print(&Sources::of_process(files).read()?.print()?)
}

/// Prints the annotated example.
pub(crate) fn example_config() -> Result<(), Failure> {
    print(config::EXAMPLE)
}

/// The longest header to explain. Servers do not accept longer ones.
const LONGEST_HEADER: u64 = 256 * 1024;

/// Describes the cookies that stdin has. Fails if sealgate would not accept one of them.
pub(crate) fn explain_cookie(files: Vec<PathBuf>) -> Result<(), Failure> {
    let clock = Clock::system();
    let config = Sources::of_process(files).read()?.resolve(&clock)?;
    let now = clock.now();
    let keys = Arc::new(keyring::KeyRing::load(&config.keys.dir, now)?);
    let mut header = Vec::new();
    io::stdin()
        .take(LONGEST_HEADER + 1)
        .read_to_end(&mut header)?;
    if header.len() as u64 > LONGEST_HEADER {
        return Err(Failure::Failed(format!(
            "stdin holds more than {LONGEST_HEADER} bytes, and a Cookie header cannot be so long: give the one header"
        )));
    }
    let lines = || {
        header
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .map(|line| {
                // The line may be copied from a request, from curl's trace of one, or be the value alone.
                let line = line.strip_prefix(b"> ").unwrap_or(line);
                match line.split_at_checked("cookie:".len()) {
                    Some((name, value)) if name.eq_ignore_ascii_case(b"cookie:") => value,
                    _ => line,
                }
            })
    };
    let mut explained = Vec::new();
    for frontend in config.frontends.iter() {
        let wallet = frontend.jar.wallet(lines(), Arc::clone(&keys), now);
        explained.extend(wallet.explain());
    }
    for cookie in &explained {
        print(&format!("{cookie}\n"))?;
    }
    let useless = explained.iter().filter(|cookie| !cookie.is_good).count();
    match (explained.len(), useless) {
        (0, _) => {
            let names: Vec<&str> = config
                .frontends
                .iter()
                .map(|frontend| frontend.name.as_str())
                .collect();
            Err(Failure::Failed(format!(
                "stdin holds no cookie of sealgate: no name belongs to one of the frontends {}; give the Cookie header of a request to \
                 them",
                names.join(", ")
            )))
        }
        (_, 0) => Ok(()),
        (all, useless) => Err(Failure::Failed(format!(
            "sealgate would not accept {useless} of {all} cookies now; see above for the reason"
        ))),
    }
}

/// Adds and drops keys, and prints the key ring.
pub(crate) fn rotate_keys(files: Vec<PathBuf>, options: &RotateKeys) -> Result<(), Failure> {
    let mut sources = Sources::of_process(files);
    sources.command_line = options.overrides();
    let settings = sources.read()?.keys()?;
    let alg = match &options.alg {
        Some(name) => name
            .parse()
            .map_err(|error| Failure::Usage(format!("--alg: {error}")))?,
        None => Alg::default(),
    };
    let drop = match &options.drop {
        Some(kid) => Some(
            kid.parse()
                .map_err(|error| Failure::Usage(format!("--drop: {error}")))?,
        ),
        None => None,
    };
    let is_a_guess = options.retire_after.is_none() && !settings.is_retirement_known();
    let options = RotateOptions {
        alg,
        activate_in: options.activate_in.unwrap_or(settings.activation_delay),
        retire_after: options
            .retire_after
            .unwrap_or_else(|| settings.retire_after()),
        drop,
        force: options.force,
    };
    let rotation = keyring::rotate(&settings.dir, &options, Clock::system().now())
        .map_err(|error| Failure::Failed(error.to_string()))?;
    print(&format!("{rotation}\n"))?;
    for stranger in rotation.ring.foreign() {
        writeln!(io::stderr(), "warning: {stranger}")?;
    }
    let has_retired = |removal: &Removal| matches!(removal, Removal::Retired(_));
    if is_a_guess && rotation.removed.iter().any(has_retired) {
        writeln!(
            io::stderr(),
            "warning: keys were deleted because their successors have been active for 24h. That is only the built-in default: \
             no configuration states how long sessions last, and longer sessions have ended. Next time, name the \
             configuration with -c, or use --retire-after"
        )?;
    }
    if rotation.bad.is_empty() {
        return Ok(());
    }
    let bad: Vec<_> = rotation.bad.iter().map(ToString::to_string).collect();
    Err(Failure::Failed(format!(
        "the key is dropped, but these files in {} are invalid:\n  {}\nUntil you fix them, new processes will not start. \
         Running processes keep their current keys, minus deleted ones (but never lose their last key), and load no new key",
        settings.dir.display(),
        bad.join("\n  ")
    )))
}

/// Asks the running process's admin listener whether it is alive.
pub(crate) fn health(files: Vec<PathBuf>) -> Result<(), Failure> {
    let mut addr = Sources::of_process(files).read()?.admin_bind()?;
    // A listener on all addresses also answers on loopback.
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    let patience = Duration::from_secs(2);
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&addr, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
        Ok(_) => Err(Failure::Failed(format!(
            "{addr} answers, but not as a sealgate that is alive; see its log, and server.admin_bind"
        ))),
        Err(error) => Err(Failure::Failed(format!(
            "{addr} does not answer: {error}; is sealgate running there, as server.admin_bind says?"
        ))),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
