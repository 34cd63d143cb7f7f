//! A Redis or Valkey server for one test, on a socket in a directory of its own.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use super::process::eventually;

const SOCKET: &str = "store.sock";

/// It keeps its data when it is killed, and loses it when it is dropped.
pub struct Store {
    dir: tempfile::TempDir,
    server: Child,
}

impl Store {
    /// Starts a server. Where there is no program to start, it says so once and gives `None`; under `CI` that is a
    /// failure.
    pub fn start() -> Option<Self> {
        static SAID: Once = Once::new();

        let dir = tempfile::tempdir().expect("a directory");
        let programs = ["redis-server", "valkey-server"];
        let Some(server) = programs.iter().find_map(|program| run(program, &dir)) else {
            let missing = "SKIPPED: the stories with a store need redis-server or valkey-server";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            // Not with a macro: the harness would keep the line of a test that passes to itself.
            SAID.call_once(|| {
                let _ = writeln!(io::stderr().lock(), "{missing}");
            });
            return None;
        };
        let store = Self { dir, server };
        store.wait();
        Some(store)
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }

    /// Starts it again with the data it had.
    pub fn start_again(&mut self) {
        let programs = ["redis-server", "valkey-server"];
        let server = programs.iter().find_map(|program| run(program, &self.dir));
        self.server = server.expect("it started before");
        self.wait();
    }

    /// Everything that it has written to disk, which is every command that changed something.
    pub fn everything(&self) -> String {
        let files = fs::read_dir(self.dir.path().join("appendonlydir")).expect("its log");
        let mut all = Vec::new();
        for file in files {
            all.extend(fs::read(file.expect("an entry").path()).expect("readable"));
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    fn wait(&self) {
        eventually("the store", || {
            let mut stream = UnixStream::connect(self.socket()).ok()?;
            stream.write_all(b"PING\r\n").ok()?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).ok()?;
            (&answer == b"+PONG").then_some(())
        });
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `None` if there is no such program.
fn run(program: &str, dir: &tempfile::TempDir) -> Option<Child> {
    let spawned = Command::new(program)
        .args(["--port", "0", "--unixsocket", SOCKET, "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match spawned {
        Ok(child) => Some(child),
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => panic!("{program}: {why}"),
    }
}
