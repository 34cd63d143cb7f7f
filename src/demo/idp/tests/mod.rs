//! The provider driven over HTTP, as a client and a browser would.

mod faults;
mod login;
mod tokens;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::header;
use awc::Client;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::*;
use crate::clock::Clock;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "https://app.example/bff/callback";
const LOGGED_OUT: &str = "https://app.example/bff/logged-out";
const SECRET: &str = ":%+ /\u{e9}&=";

/// A client, a browser with a cookie jar, and a provider whose clock they move.
struct Scene {
    idp: Idp,
    clock: Clock,
    http: Client,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// What a browser got.
struct Page {
    status: u16,
    location: Option<String>,
    text: String,
}

impl Page {
    /// The parameters of the redirect back to the client.
    fn params(&self) -> BTreeMap<String, String> {
        let location = Url::parse(self.location.as_ref().unwrap()).unwrap();
        assert!(location.as_str().starts_with(CALLBACK), "{location}");
        location.query_pairs().into_owned().collect()
    }
}

impl Scene {
    fn new(mut options: IdpOptions) -> Self {
        let clock = Clock::fixed(UnixTime::from_secs(1_800_000_000));
        options.clock = clock.clone();
        let idp = Idp::start(options).unwrap();
        idp.add_client("shop", SECRET, &[CALLBACK], &[LOGGED_OUT]);
        Self {
            idp,
            clock,
            http: Client::builder().disable_redirects().finish(),
            cookies: RefCell::default(),
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.idp.issuer())
    }

    async fn browse(&self, form: Option<&[(&str, &str)]>, url: &str) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .borrow()
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let request = match form {
            None => self.http.get(url),
            Some(_) => self.http.post(url),
        }
        .insert_header((header::COOKIE, cookies.join("; ")));
        let mut answer = match form {
            None => request.send().await,
            Some(form) => request.send_form(&form).await,
        }
        .unwrap();
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(line.contains("; HttpOnly; SameSite=Lax"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies
                .borrow_mut()
                .insert(name.to_owned(), value.to_owned());
        }
        Page {
            status: answer.status().as_u16(),
            location: answer
                .headers()
                .get(header::LOCATION)
                .map(|location| location.to_str().unwrap().to_owned()),
            text: String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap(),
        }
    }

    /// The authorization request, with some parameters changed (`""` leaves one out).
    async fn authorize(&self, changed: &[(&str, &str)]) -> Page {
        let mut params = BTreeMap::from([
            ("client_id", "shop"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("nonce", "the nonce"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid profile"),
            ("state", "the state"),
        ]);
        params.extend(changed.iter().copied());
        let query = Serializer::new(String::new())
            .extend_pairs(params.into_iter().filter(|(_, value)| !value.is_empty()))
            .finish();
        self.browse(None, &self.at(&format!("/authorize?{query}")))
            .await
    }

    /// Fills the form of a login page in.
    async fn fill_in(&self, page: &Page, username: &str, password: &str) -> Page {
        assert!(page.text.contains("name=\"password\""), "{}", page.text);
        let login = field(&page.text, "login").to_owned();
        let form = [
            ("login", login.as_str()),
            ("username", username),
            ("password", password),
        ];
        self.browse(Some(&form), &self.at("/login")).await
    }

    async fn sign_in(&self, changed: &[(&str, &str)]) -> Page {
        let page = self.authorize(changed).await;
        self.fill_in(&page, "alice", "wonderland").await
    }

    async fn call(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = STANDARD.encode(format!("shop:{}", encode(SECRET)));
        let mut answer = self
            .http
            .post(self.at(path))
            .insert_header((header::AUTHORIZATION, format!("Basic {credentials}")))
            .send_form(&form)
            .await
            .unwrap();
        let body = answer.body().await.unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    async fn redeem(&self, code: &str, verifier: &str) -> (u16, Value) {
        self.call(
            "/token",
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("code_verifier", verifier),
                ("redirect_uri", CALLBACK),
            ],
        )
        .await
    }

    async fn refresh(&self, tokens: &Value) -> (u16, Value) {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.call(
            "/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
        .await
    }

    /// A whole login.
    async fn tokens(&self) -> Value {
        let answer = self.sign_in(&[]).await;
        let (status, tokens) = self.redeem(&answer.params()["code"], VERIFIER).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    fn is_live(&self, tokens: &Value) -> bool {
        let token = tokens["access_token"].as_str().unwrap();
        self.idp.introspection().check(token)["active"] == true
    }
}

/// The value of a hidden field.
fn field<'p>(page: &'p str, name: &str) -> &'p str {
    let start = format!("name=\"{name}\" value=\"");
    page.split_once(&start)
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap()
}

/// Header and claims of a JWT, unverified.
fn parts(jwt: &Value) -> (Value, Value) {
    let mut parts = jwt.as_str().unwrap().split('.');
    let mut next =
        || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap();
    (next(), next())
}

fn rotating(rotation: Rotation) -> IdpOptions {
    IdpOptions {
        rotation,
        ..IdpOptions::default()
    }
}

impl Idp {
    fn keys_verify(&self, jwt: &Value) -> bool {
        self.shared.keys().verify(jwt.as_str().unwrap()).is_some()
    }
}
