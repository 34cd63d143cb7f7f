//! What an operator has: a configuration, a secret, a first key, and neighbours to serve between.

use std::process::Command;
use std::sync::{Arc, Mutex};

use sealgate::demo::api::Api;
use sealgate::demo::idp::{Idp, IdpOptions, Secret};

use super::process::{Captured, Place, Process, Server};
use super::{Browser, ConfigText, ORIGIN};

/// The client secret. It may be in one file, and nowhere else.
pub const SECRET: &str = "canary-of-the-client-secret-5e1f";

/// Dropped, it searches everything the processes said for secrets.
pub struct Site {
    pub idp: Idp,
    pub api: Api,
    pub place: Place,
    origin: String,
    seen: Arc<Mutex<Vec<u8>>>,
    said: Mutex<Vec<Captured>>,
}

impl Site {
    pub fn new() -> Self {
        Self::with(ORIGIN, "", "")
    }

    /// With an origin, lines for `[server]`, and tables.
    pub fn with(origin: &str, server: &str, tables: &str) -> Self {
        Self::made(origin, None, server, tables)
    }

    /// With another issuer in the configuration.
    pub fn with_issuer(issuer: &str) -> Self {
        Self::made(ORIGIN, Some(issuer), "", "")
    }

    fn made(origin: &str, issuer: Option<&str>, server: &str, tables: &str) -> Self {
        let idp = Idp::start(IdpOptions::default()).expect("the provider starts");
        let (callback, landing) = (
            format!("{origin}/bff/callback"),
            format!("{origin}/bff/logged-out"),
        );
        idp.add_client("shop", SECRET, &[&callback], &[&landing]);
        let api = Api::start().expect("the API starts");
        let place = Place::new();
        place.write("shop.secret", &format!("{SECRET}\n"));
        let config = ConfigText::shop(origin, issuer.unwrap_or(idp.issuer()), "shop.secret")
            .lines("server", "workers = 1")
            .lines("server", server)
            .lines("keys", "reload_interval = \"1h\"")
            .upstream("api", &api.url())
            .route("/api", "api", "user")
            .tables(tables);
        place.write("sealgate.toml", &config.to_string());
        place.rotate(&[]);
        Self {
            idp,
            api,
            place,
            origin: origin.to_owned(),
            seen: Arc::default(),
            said: Mutex::default(),
        }
    }

    /// The program with the configuration and these arguments.
    pub fn sealgate(&self, args: &[&str]) -> Command {
        self.place
            .sealgate(&[&["-c", "sealgate.toml"], args].concat())
    }

    pub fn serve(&self) -> Server {
        self.serve_as(|_| {})
    }

    /// Serves, with something about the call changed.
    pub fn serve_as(&self, change: impl FnOnce(&mut Command)) -> Server {
        let mut command = self.sealgate(&[]);
        command.env("RUST_LOG", "trace");
        change(&mut command);
        let process = Process::spawn(command);
        let streams = [process.stdout.clone(), process.stderr.clone()];
        self.said.lock().unwrap().extend(streams);
        process.serving()
    }

    pub fn browser(&self, server: &Server) -> Browser {
        Browser::new(&self.origin, server.addr, Arc::clone(&self.seen))
    }

    /// A browser in which `alice` is signed in.
    #[track_caller]
    pub fn signed_in(&self, server: &Server) -> Browser {
        let mut browser = self.browser(server);
        browser.log_in("/bff/login");
        assert_eq!(browser.fetch("GET", "/api/me").status, 200);
        browser
    }

    fn assert_nothing_leaked(&self) {
        let said = self.said.lock().unwrap();
        let said: String = said.iter().map(Captured::text).collect();
        let seen = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        for secret in self.idp.minted() {
            assert!(!said.contains(&secret), "a secret was logged: {secret}");
        }
        let codes = self.idp.minted_of(Secret::Code);
        for token in self.idp.minted() {
            let is_code = codes.contains(&token);
            assert!(
                is_code || !seen.contains(&token),
                "a token reached the browser"
            );
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_nothing_leaked();
        }
    }
}
