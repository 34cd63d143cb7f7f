//! sealgate in this process, in front of the demo's provider and API, with a clock in the test's hand.

pub mod browser;
pub mod collector;
pub mod config_text;
pub mod device;
pub mod http;
pub mod http_proxy;
pub mod json_api;
pub mod logs;
pub mod native;
mod person;
pub mod process;
pub mod site;
pub mod slow_directory;
pub mod store;
pub mod upstream;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use sealgate::app::{self, Listeners};
use sealgate::bff::Bff;
use sealgate::clock::{Clock, UnixTime};
use sealgate::demo::api::Api;
use sealgate::demo::idp::{
    DiscoveryFault, EndpointFault, Fault, Faults, Idp, IdpOptions, Rotation, Secret, TokenFormat,
};
use sealgate::keyring::{self, Alg, KeyRing, Kid};
use sealgate::ledger::Revocation;

pub use browser::{Browser, Initiator, Visit};
pub use config_text::ConfigText;
pub use http::{Request, Response};
pub use site::Site;

/// The public origin of the frontend under test. TLS is taken to end in front of sealgate.
pub const ORIGIN: &str = "https://shop.test";

const CONFIG: &str = "sealgate.toml";

/// A noon in 2026.
pub const NOON: u64 = 1_795_262_400;

/// What a test wants to be different.
pub struct Setup {
    /// Lifetime of access tokens.
    pub access_token_lifetime: Duration,
    pub format: TokenFormat,
    pub rotation: Rotation,
    /// What else the provider is to do differently.
    pub provider: fn(&mut IdpOptions),
    /// Lines for `[frontend.shop]`, `[frontend.shop.oidc]`, `[frontend.shop.session]`. In those for `oidc`, `{issuer}` and
    /// `{port}` are the provider's.
    pub frontend: String,
    pub oidc: String,
    pub session: String,
    /// What stands behind the provider's address in the configured issuer.
    pub issuer_path: &'static str,
    /// Whole tables: more routes, upstreams, frontends.
    pub tables: String,
    /// Lines for `[frontend.shop.oidc]` that say how it authenticates. `{dir}` is the directory of the configuration.
    pub credentials: String,
    /// Files beside the configuration, by name.
    pub files: Vec<(&'static str, String)>,
    /// Lines for `[server]`.
    pub server: String,
    pub origin: String,
    /// The provider answers 503 to everything from the start.
    pub provider_is_down: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_secs(300),
            format: TokenFormat::Jwt,
            rotation: Rotation::Rotate,
            provider: |_| {},
            frontend: String::new(),
            oidc: String::new(),
            session: String::new(),
            issuer_path: "",
            tables: String::new(),
            credentials: "client_secret = { file = \"{dir}/secret\" }".to_owned(),
            files: Vec::new(),
            server: String::new(),
            origin: ORIGIN.to_owned(),
            provider_is_down: false,
        }
    }
}

/// A running sealgate and its neighbours. Dropped, it stops, and searches for secrets that leaked.
pub struct TestBff {
    pub idp: Idp,
    pub api: Api,
    pub clock: Clock,
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    dir: tempfile::TempDir,
    origin: String,
    begun: logs::Mark,
    seen: Arc<Mutex<Vec<u8>>>,
    serving: Option<Replica>,
}

/// One sealgate, as long as it is held.
pub struct Replica {
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    bff: Arc<Bff>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestBff {
    pub fn spawn() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let begun = logs::install();
        let mut setup = Setup::default();
        change(&mut setup);
        let clock = Clock::fixed(UnixTime::from_secs(NOON));
        let mut options = IdpOptions {
            access_token_lifetime: setup.access_token_lifetime,
            access_token_format: setup.format,
            rotation: setup.rotation,
            clock: clock.clone(),
            ..IdpOptions::default()
        };
        (setup.provider)(&mut options);
        let idp = Idp::start(options).expect("the provider starts");
        if setup.provider_is_down {
            idp.faults().inject(
                Faults::ALWAYS,
                Fault::Discovery(DiscoveryFault::Endpoint(EndpointFault::Down)),
            );
        }
        let secret = "s3cret :%+/é of the test client";
        idp.add_client(
            "shop",
            secret,
            &[&format!("{}/bff/callback", setup.origin)],
            &[&format!("{}/bff/logged-out", setup.origin)],
        );
        let api = Api::start().expect("the API starts");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("secret"), secret).expect("written");
        for (name, text) in &setup.files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        add_key(dir.path(), &clock);
        let config = config_text(&setup, idp.issuer(), &api.url(), dir.path());
        std::fs::write(dir.path().join(CONFIG), config.to_string()).expect("written");
        let serving = Replica::start(dir.path(), &clock);
        Self {
            idp,
            api,
            clock,
            addr: serving.addr,
            admin: serving.admin,
            dir,
            origin: setup.origin,
            begun,
            seen: Arc::default(),
            serving: Some(serving),
        }
    }

    /// Another sealgate beside this one: the same configuration, keys, provider, API and clock.
    pub fn replica(&self) -> Replica {
        Replica::start(self.dir.path(), &self.clock)
    }

    /// Adds a key, which is the primary of replicas that start from now on.
    pub fn add_key(&self) {
        add_key(self.dir.path(), &self.clock);
    }

    /// Takes a key away from replicas that start from now on.
    pub fn remove_key(&self, kid: Kid) {
        let file = self.dir.path().join(format!("keys/{kid}.toml"));
        std::fs::remove_file(file).expect("it is there");
    }

    /// Changes the configuration of replicas that start from now on.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let file = self.dir.path().join(CONFIG);
        let text = std::fs::read_to_string(&file).expect("it is there");
        assert!(text.contains(from), "{text}");
        std::fs::write(file, text.replace(from, to)).expect("written");
    }

    /// The keys that replicas start with.
    pub fn kids(&self) -> Vec<Kid> {
        let ring = KeyRing::load(&self.dir.path().join("keys"), self.clock.now());
        ring.expect("a ring").kids().collect()
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.origin, self.addr, Arc::clone(&self.seen))
    }

    /// A browser in which `alice` is signed in.
    pub fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let visit = self.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
        assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
        browser
    }

    /// Opens a login address, and fills in the provider's form if it shows one.
    #[expect(clippy::unused_self, reason = "it reads better")]
    pub fn log_in(&self, browser: &mut Browser, address: &str) -> Visit {
        browser.log_in(address)
    }

    /// Fills in the provider's login form.
    #[expect(clippy::unused_self, reason = "it reads better")]
    pub fn fill_in(
        &self,
        browser: &mut Browser,
        page: &Visit,
        user: &str,
        password: &str,
    ) -> Visit {
        browser.fill_in(page, user, password)
    }

    /// How often the provider's token endpoint was called with a grant type.
    pub fn token_calls(&self, grant_type: &str) -> u32 {
        self.idp.observed().token_calls(grant_type)
    }

    /// The tokens that were revoked, in that order.
    pub fn revoked(&self) -> Vec<String> {
        self.idp.observed().revoked
    }

    /// The value of a metric, written as in `/metrics` with its labels; 0 if it is not there.
    pub fn metric(&self, name: &str) -> u64 {
        let request = Request::new("GET", "/metrics").header("host", "localhost");
        let answer = request.send(self.admin);
        answer
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or(0)
    }

    /// How many exchanged tokens are in its memory.
    pub fn exchanged_tokens(&self) -> usize {
        let serving = self.serving.as_ref().expect("it runs");
        let configured = serving.bff.configured.load();
        let frontends = configured.frontends.iter();
        frontends
            .map(|frontend| frontend.provider.exchanged_tokens())
            .sum()
    }

    /// Sessions end as if another replica, or the provider, had ended them.
    pub fn revoke(&self, revocation: &Revocation) {
        let serving = self.serving.as_ref().expect("it runs");
        let now = self.clock.now();
        let until = now.plus(Duration::from_hours(1));
        serving.bff.revocations.revoke(revocation, until, now);
    }

    /// How many requests the API has seen.
    pub fn api_calls(&self) -> usize {
        self.api.requests().len()
    }

    /// A3, F14: no token in what a script could read, no secret in any log line.
    fn assert_nothing_leaked(&self) {
        let codes = self.idp.minted_of(Secret::Code);
        let tokens: Vec<String> = self
            .idp
            .minted()
            .into_iter()
            .filter(|secret| !codes.contains(secret))
            .collect();
        assert!(!tokens.is_empty(), "the search has something to search for");
        let seen = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        let seen = logs::Searchable::new(&seen);
        for token in &tokens {
            assert!(
                !seen.contains(token),
                "a token reached the browser: {token}"
            );
        }
        // What was minted here cannot stand in lines from before.
        logs::search(self.begun, |lines| {
            let lines = logs::Searchable::new(lines);
            for secret in tokens.iter().chain(&codes) {
                assert!(!lines.contains(secret), "a secret is in the log: {secret}");
            }
        });
    }
}

impl Replica {
    fn start(dir: &Path, clock: &Clock) -> Self {
        let public = TcpListener::bind("127.0.0.1:0").expect("a port");
        let operator = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (addr, admin) = (public.local_addr().unwrap(), operator.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, started) = mpsc::channel();
        let (file, of_server) = (dir.join(CONFIG), clock.clone());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let config = sealgate::config::load(
                    &[file],
                    std::env::vars_os()
                        .filter_map(|(k, v)| Some((k.into_string().ok()?, v)))
                        .collect(),
                    &of_server,
                )
                .unwrap_or_else(|mistakes| panic!("the test's configuration: {mistakes}"));
                let running = app::start(config, of_server, Listeners { public, operator })
                    .unwrap_or_else(|error| panic!("{error}"));
                ready
                    .send(Arc::clone(&running.bff))
                    .expect("the test waits");
                let _ = stopped.await;
                running.stop().await;
            });
        });
        let bff = started.recv().expect("sealgate starts");
        Self {
            addr,
            admin,
            bff,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for TestBff {
    fn drop(&mut self) {
        drop(self.serving.take());
        if !std::thread::panicking() {
            self.assert_nothing_leaked();
        }
    }
}

fn add_key(dir: &Path, clock: &Clock) {
    let options = keyring::RotateOptions {
        alg: Alg::Xaes256Gcm,
        activate_in: Duration::ZERO,
        retire_after: Duration::from_secs(86_400),
        drop: None,
        force: false,
    };
    keyring::rotate(&dir.join("keys"), &options, clock.now()).expect("a key");
}

/// The tables of a second frontend, `https://other.test`, with these routes. Nobody signs in there: no provider answers.
pub fn other_frontend(routes: &str) -> String {
    format!(
        r#"
[frontend.other]
origin = "https://other.test"
[frontend.other.oidc]
issuer = "http://127.0.0.1:1"
client_id = "other"
client_secret = {{ env = "PATH" }}
{routes}
"#
    )
}

fn config_text(setup: &Setup, issuer: &str, api: &str, dir: &Path) -> ConfigText {
    let dir = dir.display();
    let port = issuer.rsplit(':').next().unwrap_or_default();
    let oidc = setup.oidc.replace("{issuer}", issuer);
    let oidc = oidc.replace("{port}", port);
    let credentials = setup.credentials.replace("{dir}", &dir.to_string());
    let issuer = format!("{issuer}{}", setup.issuer_path);
    ConfigText::shop_with(&credentials, &setup.origin, &issuer)
        .lines("server", "workers = 2")
        .lines("server", "shutdown_grace = \"1s\"")
        .lines("server", &setup.server)
        .lines("keys", &format!("dir = \"{dir}/keys\""))
        .lines("frontend.shop", &setup.frontend)
        .lines("frontend.shop.oidc", &oidc)
        .lines("frontend.shop.session", &setup.session)
        .upstream("api", &format!("{api}/v1"))
        .upstream("root", api)
        .route("/api/echo", "api", "user")
        .route("/api/root", "root", "user")
        .route("/api/public", "api", "none")
        .route("/api/maybe", "api", "user_or_none")
        .tables(&setup.tables)
}
