//! The program itself, run as an operator runs it: in a directory of its own, every wait bounded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Request, Response};

/// Longest wait for anything; far more than it takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Asks again until there is an answer.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(POLL);
    }
}

/// A directory to run the program in.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that belongs to nobody else, and the directories above it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file")).expect("a directory");
        std::fs::write(&path, text).expect("written");
        chmod(&path, 0o600);
        path
    }

    /// The program with these arguments, in this directory, without any configuration from the environment.
    pub fn sealgate(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_sealgate"));
        command.args(args);
        command
    }

    /// The same for another program, which may start this one.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env("RUST_LOG", "info")
            .env("TMPDIR", self.0.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy().to_uppercase();
            if shown.starts_with("SEALGATE")
                || shown.starts_with("OTEL_")
                || shown.ends_with("_PROXY")
            {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Outcome {
        Process::spawn(self.sealgate(args)).outcome()
    }

    /// Rotates the keys in `keys`; gives the kid of the new key.
    #[track_caller]
    pub fn rotate(&self, options: &[&str]) -> String {
        let outcome = self.run(&[&["--rotate-keys", "--keys", "keys"], options].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let added = outcome
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("added "));
        added.expect("a new key").to_owned()
    }

    /// The kids in a directory of keys, sorted.
    pub fn kids(&self, dir: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(dir)).expect("a directory");
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kids: Vec<_> = names
            .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
            .collect();
        kids.sort();
        kids
    }
}

pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
}

/// What a program left when it ended.
#[derive(Debug)]
pub struct Outcome {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// It ended with this code, said nothing on stdout, and each of these on stderr.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "what is wrong is said on stderr");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in\n{}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// What a stream has brought so far.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn read(&self, mut stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let captured = self.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut chunk) {
                captured.0.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        })
    }
}

/// A running program; killed when it is dropped.
pub struct Process {
    child: Child,
    pub stdout: Captured,
    pub stderr: Captured,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let readers = vec![
            stdout.read(child.stdout.take().expect("a pipe")),
            stderr.read(child.stderr.take().expect("a pipe")),
        ];
        Self {
            child,
            stdout,
            stderr,
            readers,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `INT`, `HUP`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let done = Command::new("sh").args(["-c", &kill]).status();
        assert!(done.expect("a shell").success(), "no signal was sent");
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn outcome(&mut self) -> Outcome {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.has_ended() {
                break status;
            }
            let said = (self.stdout.text(), self.stderr.text());
            assert!(Instant::now() < end, "it does not end; so far: {said:?}");
            std::thread::sleep(POLL);
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("read to the end");
        }
        Outcome {
            code: status.code(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }

    /// Waits for words in its log.
    #[track_caller]
    pub fn wait_for_log(&self, words: &str) {
        let said = || self.stderr.text().contains(words).then_some(());
        eventually(words, said);
    }

    /// Waits until it serves, and tells where.
    #[track_caller]
    pub fn serving(mut self) -> Server {
        let (addr, admin) = eventually("serving", || {
            let log = self.stderr.text();
            assert!(self.has_ended().is_none(), "it ended:\n{log}");
            // As text or as JSON.
            let is_it = |line: &&str| line.contains(": serving ") || line.contains("\"serving");
            let line = log.lines().find(is_it)?;
            let value = |name: &str| {
                let text = line.split_once(&format!(" {name}="));
                let (_, rest) = text.or_else(|| line.split_once(&format!("\"{name}\":\"")))?;
                rest.split([' ', '"']).next()?.parse::<SocketAddr>().ok()
            };
            value("address").zip(value("admin"))
        });
        let server = Server {
            process: self,
            addr,
            admin,
        };
        eventually("ready", || {
            (server.admin("/readyz").status == 200).then_some(())
        });
        server
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that serves.
pub struct Server {
    pub process: Process,
    pub addr: SocketAddr,
    pub admin: SocketAddr,
}

impl Server {
    pub fn admin(&self, path: &str) -> Response {
        Request::new("GET", path)
            .header("host", "localhost")
            .send(self.admin)
    }

    /// Ends it beside a connection that waits for its next request, here `kept`, and one that has never sent any.
    #[track_caller]
    pub fn assert_idle_connections_delay_nothing(&mut self, mut kept: impl Read + Write) {
        let request = b"GET /bff/session HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n";
        kept.write_all(request).unwrap();
        let answer = kept.read(&mut [0; 4096]).unwrap();
        assert!(answer > 0, "answered, and kept open");
        let _silent = TcpStream::connect(self.addr).unwrap();
        self.process.signal("TERM");
        self.assert_ends_soon();
    }

    /// It has been told to end, and does so in order, long before it would cut anything off.
    #[track_caller]
    pub fn assert_ends_soon(&mut self) {
        let begun = Instant::now();
        assert_eq!(self.process.outcome().code, Some(0));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    /// One number of `/metrics`, 0 if it is not there.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.admin("/metrics").text();
        let number = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        text.lines().find_map(number).unwrap_or(0)
    }

    /// SIGHUP, and waits until the reload has come to this result.
    #[track_caller]
    pub fn reload(&self, result: &str) {
        let counter = format!("sealgate_keyring_reload_total{{result=\"{result}\"}}");
        let before = self.metric(&counter);
        self.process.signal("HUP");
        eventually(&counter, || (self.metric(&counter) > before).then_some(()));
    }
}
