//! Everything behind `sealgate --demo`: an identity provider, an API, two single-page apps and a configuration.
//!
//! The second app is the phone's: another frontend of the same process, whose home screen is one composed answer.
//!
//! [`Demo::prepare`] starts the neighbours and writes the configuration. The program itself then runs as with any other
//! configuration file. The integration tests use the [`idp`] and the [`api`], too.
//!
//! # Invariants
//! - Everything listens on loopback only. All files are in one temporary directory of mode 0700, which [`Demo`] deletes
//!   when it is dropped.
//! - The program treats the demo's configuration file as any other.

mod loopback;
mod witness;

pub mod api;
pub mod dpop;
pub mod idp;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use self::api::{Api, Stage};
use self::idp::{Idp, IdpOptions, Rotation, USERS};
use self::loopback::Loopback;
use self::witness::Witness;

const TEMPLATE: &str = include_str!("sealgate.toml");
const CLIENT_ID: &str = "sealgate-demo";
const PHONE_CLIENT_ID: &str = "sealgate-demo-phone";
/// Short, so that a visitor soon sees a refresh.
const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(20);
/// Two tabs may refresh with the same cookie at the same time.
const ROTATION: Rotation = Rotation::RotateWithLeeway(Duration::from_secs(10));
const APP: [(&str, &str); 5] = [
    ("app.css", include_str!("spa/app.css")),
    ("app.js", include_str!("spa/app.js")),
    ("copy.js", include_str!("spa/copy.js")),
    ("favicon.svg", include_str!("spa/favicon.svg")),
    ("index.html", include_str!("spa/index.html")),
];

const PHONE: [(&str, &str); 5] = [
    ("app.css", include_str!("spa/app.css")),
    ("favicon.svg", include_str!("spa/favicon.svg")),
    ("index.html", include_str!("phone/index.html")),
    ("phone.css", include_str!("phone/phone.css")),
    ("phone.js", include_str!("phone/phone.js")),
];

/// The running neighbours of the program. Dropped, they stop.
pub struct Demo {
    origin: String,
    /// The origin of the phone's app: another host name of loopback, so cookies of its own.
    phone: String,
    idp: Idp,
    api: Api,
    witness: Witness,
    dir: TempDir,
}

impl Demo {
    /// Starts identity provider and API on free ports of 127.0.0.1, binds a socket for the application, and writes the
    /// configuration. The socket has `port`, or any free port if that one is taken or 0.
    ///
    /// The key directory is empty: the caller makes the first key.
    pub fn prepare(port: u16) -> io::Result<(Self, TcpListener)> {
        let public = Loopback::bind(port).or_else(|_| Loopback::bind(0))?;
        let port = public.local_addr()?.port();
        let origin = format!("http://localhost:{port}");
        let idp = Idp::start(IdpOptions {
            access_token_lifetime: ACCESS_TOKEN_LIFETIME,
            rotation: ROTATION,
            ..IdpOptions::default()
        })?;
        // Every browser finds this one, which is not true of names below `localhost`.
        let phone = format!("http://127.0.0.1:{port}");
        let secrets = [(CLIENT_ID, &origin), (PHONE_CLIENT_ID, &phone)].map(|(client, origin)| {
            let secret = idp.random_client_secret();
            idp.add_client(
                client,
                &secret,
                &[&format!("{origin}/bff/callback")],
                &[&format!("{origin}/bff/logged-out")],
            );
            secret
        });
        let witness = Witness::default();
        let stage = Stage {
            origin: origin.clone(),
            witness: witness.clone(),
        };
        let api = Api::start_on(stage, idp.introspection())?;
        let dir = tempfile::Builder::new()
            .prefix("sealgate-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let demo = Self {
            origin,
            phone,
            idp,
            api,
            witness,
            dir,
        };
        demo.write(port, &secrets)?;
        Ok((demo, public))
    }

    /// The rendered configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("sealgate.toml")
    }

    /// `keys.dir` of the configuration.
    pub fn keys_dir(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("{}/", self.origin)
    }

    /// What to open for the phone's app.
    pub fn phone_url(&self) -> String {
        format!("{}/", self.phone)
    }

    /// The identity provider.
    pub const fn idp(&self) -> &Idp {
        &self.idp
    }

    /// The API.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// A log that tells the demo's page what sealgate did.
    pub fn witness(&self) -> Box<dyn log::Log> {
        Box::new(self.witness.clone())
    }

    /// The origin of the page that attacks the application: the API's port, with the application's host name.
    fn elsewhere(&self) -> String {
        self.api.url().replacen("127.0.0.1", "localhost", 1)
    }

    /// What the terminal shows at the start.
    pub fn banner(&self) -> String {
        let accounts = USERS.iter().fold(String::new(), |lines, user| {
            let (name, password) = (user.username, user.password);
            lines + &format!("      {name:<6} password  {password}\n")
        });
        format!(
            "\n  sealgate demo: open  {url}\n\n  \
             Sign in as\n{accounts}\n  \
             Look at\n      \
             the first call: the access token reaches the API, never the page\n      \
             the attacks: each is a real request, and you see sealgate refuse it\n      \
             the token's lifetime: {lifetime} s; a call after that refreshes it first\n      \
             the cookies: sealed and HttpOnly; nobody can read a token from them\n      \
             a phone's home screen, three calls or one: {phone}\n\n  \
             Identity provider  {issuer}\n  \
             API                {api}\n  \
             Configuration      {config}\n\n  \
             Everything runs on this machine only. Ctrl-C ends it and deletes its files.\n",
            url = self.url(),
            phone = self.phone_url(),
            lifetime = ACCESS_TOKEN_LIFETIME.as_secs(),
            issuer = self.idp.issuer(),
            api = self.api.url(),
            config = self.config_file().display(),
        )
    }

    fn write(&self, port: u16, [secret, phone_secret]: &[String; 2]) -> io::Result<()> {
        let dir = self.dir.path();
        fs::DirBuilder::new().mode(0o700).create(self.keys_dir())?;
        for (assets, files) in [("spa", &APP[..]), ("phone", &PHONE)] {
            let assets = dir.join(assets);
            fs::create_dir(&assets)?;
            for (name, content) in files {
                let content = content.replace("${elsewhere}", &self.elsewhere());
                let content = content.replace("${phone}", &self.phone_url());
                fs::write(assets.join(name), content)?;
            }
        }
        write_private(&dir.join("client-secret"), secret.as_bytes())?;
        write_private(&dir.join("phone-secret"), phone_secret.as_bytes())?;
        let text = render(&[
            ("port", &port.to_string()),
            ("dir", &dir.display().to_string()),
            ("api", &self.api.url()),
            ("origin", &self.origin),
            ("phone", &self.phone),
            ("issuer", self.idp.issuer()),
        ]);
        fs::write(self.config_file(), text)
    }
}

/// Fills in the placeholders of the template. They stand in basic strings, so this escapes quotes and backslashes.
fn render(values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(TEMPLATE.to_owned(), |text, (name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            text.replace(&format!("${{{name}}}"), &value)
        })
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_toml_before_and_after_it_is_filled() {
        assert!(TEMPLATE.parse::<toml::Table>().is_ok());
        let text = render(&[("port", "1"), ("dir", "/tmp/\"a\\b"), ("api", "x")]);
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["keys"]["dir"].as_str(), Some("/tmp/\"a\\b/keys"));
    }

    #[test]
    fn the_prepared_files_are_complete_private_and_deleted_afterwards() {
        let (demo, _public) = Demo::prepare(0).unwrap();
        let text = fs::read_to_string(demo.config_file()).unwrap();
        assert!(
            !text.lines().skip(1).any(|line| line.contains("${")),
            "{text}"
        );
        let config: toml::Table = text.parse().unwrap();
        let shop = &config["frontend"]["shop"];
        assert_eq!(format!("{}/", shop["origin"].as_str().unwrap()), demo.url());
        assert_eq!(shop["oidc"]["issuer"].as_str(), Some(demo.idp().issuer()));
        assert_eq!(shop["oidc"]["client_id"].as_str(), Some(CLIENT_ID));
        let assets = Path::new(shop["assets"]["dir"].as_str().unwrap());
        assert_eq!(fs::read_dir(assets).unwrap().count(), APP.len());
        let secret = shop["oidc"]["client_secret"]["file"].as_str().unwrap();
        assert_eq!(
            fs::metadata(secret).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            demo.idp()
                .minted()
                .contains(&fs::read_to_string(secret).unwrap())
        );
        assert!(demo.banner().contains(&demo.url()));
        let root = demo.dir.path().to_owned();
        assert_eq!(
            fs::metadata(&root).unwrap().permissions().mode() & 0o777,
            0o700
        );
        drop(demo);
        assert!(!root.exists());
    }

    #[test]
    fn another_port_serves_if_the_wanted_one_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let (demo, _public) = Demo::prepare(port).unwrap();
        assert!(!demo.url().contains(&format!(":{port}/")));
    }

    #[test]
    fn the_app_needs_nothing_that_its_content_security_policy_forbids() {
        let page = include_str!("spa/index.html");
        for page in [page, include_str!("phone/index.html")] {
            for forbidden in [
                "<style",
                "style=",
                "onclick",
                "onload",
                "javascript:",
                "http://",
                "https://",
            ] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
            assert_eq!(
                page.matches("<script").count(),
                page.matches("<script src=\"/").count()
            );
        }
        for id in [
            "headline",
            "login",
            "user-name",
            "call-api",
            "api-echo",
            "cookies",
            "logout",
            "signed-out",
        ] {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}
