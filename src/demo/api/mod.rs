//! The API of the demo and of the tests: it answers with the request that it received, and remembers it.
//!
//! # Invariants
//! - No answer holds a token. It shows credentials by scheme, length and fingerprint, and a JWT by its claims. Tests look
//!   for tokens in everything that a browser sees.

mod copy;
mod echo;
mod elsewhere;
mod paths;
mod proof;
mod shop;
mod websocket;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt as _;
use ring::digest;

use super::dpop::Proofs;
use super::idp::Introspection;
use super::loopback::Loopback;

pub(super) use self::elsewhere::Stage;

/// How many requests it remembers, and how much of each body.
const REMEMBERED: usize = 512;
const REMEMBERED_BODY: usize = 256 * 1024;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The raw path.
    pub path: String,
    /// The raw query, without `?`; empty if there is none.
    pub query: String,
    /// Names in lower case, values as text, in the order of their names' first appearance.
    pub headers: Vec<(String, String)>,
    /// The body's first 256 KiB.
    pub body: Vec<u8>,
    /// The whole body's length.
    pub body_bytes: u64,
}

impl Received {
    /// The value of a header that occurs exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// A running API. Dropped, it stops.
pub struct Api {
    server: Loopback,
    shared: Arc<Shared>,
}

impl Api {
    /// Binds a free port of 127.0.0.1, and serves in a thread of its own. It does not check tokens.
    pub fn start() -> io::Result<Self> {
        Self::serve(None, None)
    }

    /// The same for the demo: each answer says whether the provider considers the token active, and a page on this origin
    /// attacks the application.
    pub(super) fn start_on(stage: Stage, introspection: Introspection) -> io::Result<Self> {
        Self::serve(Some(stage), Some(introspection))
    }

    fn serve(stage: Option<Stage>, introspection: Option<Introspection>) -> io::Result<Self> {
        let listener = Loopback::bind(0)?;
        let shared = Arc::new(Shared {
            origin: format!("http://{}", listener.local_addr()?),
            proofs: Proofs::default(),
            introspection,
            received: Mutex::default(),
            streams: Arc::default(),
            sockets: Arc::default(),
            prices_are_down: AtomicBool::new(false),
        });
        let data = Data::from(Arc::clone(&shared));
        let server = Loopback::serve("demo-api", listener, move |config| {
            config.app_data(data.clone());
            if let Some(stage) = &stage {
                config.app_data(Data::new(stage.clone()));
                elsewhere::services(config);
                config.route(copy::PATH, web::get().to(copy::used));
            }
            services(config);
        })?;
        Ok(Self { server, shared })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The last 512 requests, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.received().iter().cloned().collect()
    }

    /// What it wants to see of `DPoP`, and has seen.
    pub fn proofs(&self) -> Proofs {
        self.shared.proofs.clone()
    }

    /// Forgets all requests.
    pub fn forget(&self) {
        self.shared.received().clear();
    }

    /// The open event streams. One whose reader has left counts for up to three seconds more.
    pub fn open_streams(&self) -> usize {
        self.shared.streams.load(Ordering::SeqCst)
    }

    /// The open WebSocket connections.
    pub fn open_sockets(&self) -> usize {
        websocket::open(&self.shared)
    }

    /// Closes the port, in less than a second.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}

struct Shared {
    origin: String,
    proofs: Proofs,
    introspection: Option<Introspection>,
    received: Mutex<VecDeque<Received>>,
    streams: Arc<AtomicUsize>,
    sockets: Arc<AtomicUsize>,
    /// The phone's page has asked the price API to fail.
    prices_are_down: AtomicBool,
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, received: Received) {
        let mut all = self.received();
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(received);
    }
}

fn services(services: &mut ServiceConfig) {
    services
        .route("/events", web::get().to(paths::events))
        .route("/ws", web::get().to(websocket::echo))
        .route("/status/{code}", web::to(paths::status))
        .route("/slow", web::to(paths::slow))
        .route("/set-cookie", web::to(paths::set_cookie))
        .route("/html", web::to(paths::html))
        .route("/big", web::to(paths::big))
        .configure(shop::services)
        .default_service(web::to(echo::echo));
}

/// Reads and remembers a request whose body does not matter.
async fn observe(request: &HttpRequest, body: Payload, api: &Shared) -> Result<(), HttpResponse> {
    if let Some(refusal) = proof::refusal(request, api) {
        return Err(refusal);
    }
    let received = receive(request, body, &mut digest::Context::new(&digest::SHA256)).await?;
    api.remember(received);
    Ok(())
}

async fn receive(
    request: &HttpRequest,
    mut body: Payload,
    hash: &mut digest::Context,
) -> Result<Received, HttpResponse> {
    let mut received = received(request);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| HttpResponse::BadRequest().finish())?;
        hash.update(&piece);
        received.body_bytes += piece.len() as u64;
        let room = REMEMBERED_BODY.saturating_sub(received.body.len());
        received.body.extend(piece.iter().take(room));
    }
    Ok(received)
}

/// A request without its body.
fn received(request: &HttpRequest) -> Received {
    Received {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect(),
        body: Vec::new(),
        body_bytes: 0,
    }
}

#[cfg(test)]
mod tests {
    use awc::Client;
    use awc::http::header;
    use serde_json::{Value, json};

    use super::*;

    #[actix_web::test]
    async fn it_tells_and_remembers_what_arrived_but_not_the_token() {
        let api = Api::start().unwrap();
        let token = "at-0123456789abcdef";
        let mut answer = Client::builder()
            .finish()
            .put(format!("{}/a/b?x=1", api.url()))
            .insert_header((header::AUTHORIZATION, format!("Bearer {token}")))
            .insert_header(("x-one", "1"))
            .send_body("four")
            .await
            .unwrap();
        let text = String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap();
        assert!(!text.contains(token), "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        for (pointer, value) in [
            ("/method", json!("PUT")),
            ("/path", json!("/a/b")),
            ("/query", json!("x=1")),
            ("/headers/x-one", json!("1")),
            ("/body_bytes", json!(4)),
            ("/authorization/scheme", json!("Bearer")),
            ("/authorization/length", json!(token.len())),
            ("/authorization/token_claims", json!("opaque")),
        ] {
            assert_eq!(told.pointer(pointer), Some(&value), "{pointer}");
        }
        let [received] = &api.requests()[..] else {
            panic!("one request");
        };
        assert_eq!(
            received.header("authorization"),
            Some(&*format!("Bearer {token}"))
        );
        assert_eq!(received.body, b"four");
    }

    #[actix_web::test]
    async fn an_event_stream_counts_as_open_until_its_reader_leaves() {
        let api = Api::start().unwrap();
        let http = Client::builder().finish();
        let mut answer = http
            .get(format!("{}/events", api.url()))
            .send()
            .await
            .unwrap();
        let event = answer.next().await.unwrap().unwrap();
        assert_eq!(event, "id: 1\nevent: tick\ndata: {\"n\":1}\n\n");
        assert_eq!(api.open_streams(), 1);
        drop(answer);
        // TCP tells a writer only at its second write after the reader has gone.
        for _ in 0..100 {
            if api.open_streams() == 0 {
                return;
            }
            actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the stream is still open");
    }

    #[actix_web::test]
    async fn the_special_paths_answer_as_their_names_say() {
        let api = Api::start().unwrap();
        let http = Client::builder().finish();
        for (path, status, length) in [
            ("/status/418", 418, Some(0)),
            ("/status/103", 400, None),
            ("/status/x", 404, None),
            ("/slow?ms=1", 200, None),
            ("/big?bytes=40000", 200, Some(40_000)),
            ("/html", 200, None),
        ] {
            let mut answer = http
                .get(format!("{}{path}", api.url()))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            let body = answer.body().await.unwrap();
            assert!(length.is_none_or(|length| body.len() == length), "{path}");
        }
        let answer = http
            .get(format!("{}/set-cookie", api.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers().get_all(header::SET_COOKIE).count(), 4);
    }
}
