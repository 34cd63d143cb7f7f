//! Help for this module's tests: an upstream that misbehaves byte by byte, a front door, a client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::{StatusCode, Version};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

use super::{Proxy, Upstreams};
use crate::frontend::UpstreamSettings;
use crate::frontend::samples::route;
use crate::frontend::{Action, Forward, Matched, Route};
use crate::guard::websocket;
use crate::message::{Answer, Request};
use crate::names::{Origin, RequestPath, UpstreamName};
use crate::telemetry::metrics::Metrics;
use crate::token::Permit;

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end of a connection, spoken by hand.
pub(super) struct Talk<S = TcpStream> {
    stream: S,
    heard: Vec<u8>,
}

impl Talk {
    pub(super) async fn to(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }

    /// Sends a request that closes its connection, and reads everything that comes back.
    pub(super) async fn ask(addr: SocketAddr, head: &str) -> String {
        let mut talk = Self::to(addr).await;
        talk.say(&format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await;
        talk.rest().await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(super) fn over(stream: S) -> Self {
        Self {
            stream,
            heard: Vec::new(),
        }
    }

    pub(super) async fn say(&mut self, text: &str) {
        // The other side may have hung up already; what it said is what a test looks at.
        let _ = self.stream.write_all(text.as_bytes()).await;
        let _ = self.stream.flush().await;
    }

    /// Reads up to and including `mark`; `None` if the connection ends before.
    pub(super) async fn until(&mut self, mark: &str) -> Option<String> {
        timeout(PATIENCE, async {
            loop {
                if let Some(at) = memchr::memmem::find(&self.heard, mark.as_bytes()) {
                    let rest = self.heard.split_off(at + mark.len());
                    let text = std::mem::replace(&mut self.heard, rest);
                    return Some(String::from_utf8_lossy(&text).into_owned());
                }
                if !self.hear().await {
                    return None;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {mark:?} in {:?}", String::from_utf8_lossy(&self.heard)))
    }

    /// The next message head.
    pub(super) async fn head(&mut self) -> Option<String> {
        self.until("\r\n\r\n").await
    }

    /// Everything until the connection ends.
    pub(super) async fn rest(&mut self) -> String {
        timeout(PATIENCE, async { while self.hear().await {} })
            .await
            .expect("the end");
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Writes until nobody takes more, or `most` is written; gives back how much was.
    pub(super) async fn flood(&mut self, most: usize) -> usize {
        let chunk = vec![b'x'; 16 * 1024];
        let mut written = 0;
        while written < most {
            match timeout(Duration::from_millis(500), self.stream.write(&chunk)).await {
                Ok(Ok(n)) => written += n,
                _ => break,
            }
        }
        written
    }

    async fn hear(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let n = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.heard.extend_from_slice(&buffer[..n]);
        n > 0
    }
}

/// An upstream that a test speaks for.
pub(super) struct RawUpstream {
    pub(super) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl RawUpstream {
    /// `speak` gets each connection and its number, from 0.
    pub(super) async fn start<F>(speak: impl Fn(Talk, usize) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                rt::spawn(speak(Talk::over(stream), number));
            }
        });
        Self { addr, connections }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// What a front door is made of.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) route: Route,
    pub(super) settings: UpstreamSettings,
    pub(super) token: Option<&'static str>,
}

impl Setup {
    /// `/api/orders` to `http://<addr>/v1`, with a token.
    pub(super) fn to(addr: SocketAddr) -> Self {
        Self {
            route: route("/api/orders"),
            settings: UpstreamSettings {
                url: Url::parse(&format!("http://{addr}/v1")).unwrap(),
                timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(5),
                max_connections: 1000,
                ca: None,
            },
            token: Some("Bearer token-of-the-user"),
        }
    }

    pub(super) fn forward(&mut self) -> &mut Forward {
        let Action::Forward(forward) = &mut self.route.action else {
            unreachable!("tests forward");
        };
        forward
    }

    /// The connections of one worker.
    pub(super) fn upstreams(&self) -> Upstreams {
        let name = UpstreamName::parse("orders").unwrap();
        let settings = HashMap::from([(name, self.settings.clone())]);
        Upstreams::new(&settings, &Metrics::default()).unwrap()
    }

    pub(super) fn start(self) -> Front {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(self.clone()))
                .app_data(web::Data::new(self.upstreams()))
                .default_service(web::to(serve))
        });
        let server = server
            .workers(1)
            .h1_allow_half_closed(false)
            .disable_signals()
            .shutdown_timeout(0)
            .bind("127.0.0.1:0")
            .unwrap();
        let addr = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        rt::spawn(server);
        Front { addr, handle }
    }
}

/// A server that forwards everything; it ends with its test.
pub(super) struct Front {
    pub(super) addr: SocketAddr,
    handle: ServerHandle,
}

impl Front {
    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    setup: web::Data<Setup>,
    upstreams: web::Data<Upstreams>,
) -> HttpResponse {
    let origin = Origin::parse("https://shop.example.com").unwrap();
    let request = of_hyper(&request);
    let proxy = Proxy {
        upstreams: &upstreams,
        request: &request,
        client: request.peer_addr().unwrap().ip(),
        origin: &origin,
        csrf_header: "x-csrf",
    };
    let permit = Permit::given(
        setup.token.map(HeaderValue::from_static),
        setup.token.is_some(),
    );
    let Action::Forward(forward) = &setup.route.action else {
        unreachable!("tests forward");
    };
    let Ok(path) = RequestPath::parse(request.uri().path()) else {
        return HttpResponse::BadRequest().finish();
    };
    let matched = Matched {
        route: &setup.route,
        path,
        rest: setup.route.path.rest(path).unwrap_or_default(),
        websocket: websocket(&request),
    };
    let payload = payload.into_inner();
    match proxy.forward(&permit, forward, matched, payload).await {
        Ok(outcome) => of_actix(outcome.into_answer()),
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status()).unwrap();
            let mut response = HttpResponse::build(status);
            if matched.websocket.must_close() {
                response.force_close();
            }
            response.body(problem.code())
        }
    }
}

/// What the server of the sealgate process would have read.
fn of_hyper(request: &HttpRequest) -> Request {
    let mut read = http::Request::builder()
        .method(request.method().as_str())
        .uri(request.uri().to_string())
        .version(match request.version() {
            Version::HTTP_10 => http::Version::HTTP_10,
            _ => http::Version::HTTP_11,
        });
    for (name, value) in request.headers() {
        read = read.header(name.as_str(), value.as_bytes());
    }
    let (head, ()) = read.body(()).unwrap().into_parts();
    Request::new(head, request.peer_addr())
}

fn of_actix(answer: Answer) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let mut response = HttpResponse::build(StatusCode::from_u16(head.status.as_u16()).unwrap());
    for (name, value) in &head.headers {
        match value.as_bytes() {
            b"close" if name == http::header::CONNECTION => {
                response.force_close();
            }
            b"upgrade" if name == http::header::CONNECTION => {
                response.upgrade("websocket");
            }
            value => {
                response.append_header((name.as_str(), value));
            }
        }
    }
    response.body(body)
}
