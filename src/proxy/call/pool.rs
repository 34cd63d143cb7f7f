//! The connections of one worker to one upstream, kept from one request to the next.
//!
//! A request takes the connection that was in use last. If there is none, it makes one, and takes whichever comes first: the new
//! one, or one that another request has done with. A connection comes back by itself, once the answer's body has been read.
//!
//! # Why not hyper-util's client
//! It serves any number of origins and threads. So for each request it hashes the origin, locks the pool, copies a future of
//! several KiB, and needs bodies that move between threads, which a client's body cannot. Here are one origin and one thread. It
//! took 7 thousand of a request's instructions.
//!
//! # Invariants
//! - A connection serves one request at a time.
//! - A request goes out a second time only if hyper gives it back, so that not a byte of it was sent.
//!
//! # Spec
//! RFC 9112 §9.3 (persistence): a server may close an idle connection at any time, also while a request is on its way.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use actix_web::rt;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::connector::{Connector, Heard};
use super::request_body::RequestBody;
use crate::guard::MAX_HEADER_BYTES;

/// Most bytes of an answer that a connection buffers, and so the longest header section of an answer: as long as that of
/// a request. hyper's default is eight times as much, and a fast upstream fills it on each connection.
const MAX_BUFFER: usize = MAX_HEADER_BYTES;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Name resolution, TCP or TLS.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection ended, or what came is not an answer.
    #[error("no answer on the connection")]
    Exchange {
        #[source]
        cause: hyper::Error,
        /// The connection had answered an earlier request, and ended before a byte of this answer.
        is_stale: bool,
    },
}

/// The connections. Clones share them.
#[derive(Clone)]
pub(super) struct Pool(Rc<Shared>);

struct Shared {
    connector: Connector,
    /// Those that have nothing to do. The first has been idle for the longest time.
    idle: RefCell<VecDeque<Idle>>,
    /// Most of them.
    most: usize,
    /// How long one stays.
    most_idle: Duration,
    /// [`sweep`] looks after them.
    is_swept: Cell<bool>,
    /// Requests that would take one, while they make their own.
    waiting: RefCell<VecDeque<oneshot::Sender<Line>>>,
}

struct Idle {
    line: Line,
    since: Instant,
}

/// A connection, from the side of those who use it.
struct Line {
    sender: SendRequest<RequestBody>,
    heard: Heard,
    /// It was idle, and the upstream may have closed it then.
    was_idle: bool,
    /// Where it waits for the end of an answer. [`drive`] looks there, and has gone when the connection has ended.
    rest: Weak<Rest>,
}

/// A connection whose answer has begun.
type Rest = RefCell<Option<Line>>;

/// Why a request got no answer, and the request, if it may go out on another connection.
struct Unanswered {
    failure: Failure,
    unsent: Option<Request<RequestBody>>,
}

impl Pool {
    /// Keeps at most so many idle ones, each for so long.
    pub(super) fn new(connector: Connector, most: usize, most_idle: Duration) -> Self {
        Self(Rc::new(Shared {
            connector,
            idle: RefCell::default(),
            most,
            most_idle,
            is_swept: Cell::new(false),
            waiting: RefCell::default(),
        }))
    }

    /// Sends a request on an idle connection, or a new one. The request names its `Host`.
    // An `async fn` would keep room for the request twice, and copy it.
    pub(super) fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Failure>> {
        put_in_origin_form(&mut request);
        async move {
            loop {
                let line = match self.take() {
                    Some(line) => line,
                    None => self.next().await?,
                };
                match self.exchange(line, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(Unanswered { failure, unsent }) => request = unsent.ok_or(failure)?,
                }
            }
        }
    }

    /// Sends a request on a new connection, which serves no other one.
    pub(super) async fn send_alone(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        put_in_origin_form(&mut request);
        let mut line = Box::pin(self.clone().connect()).await?;
        let answer = line.sender.try_send_request(request).await;
        // Without its sender, the connection ends with the answer.
        answer.map_err(|error| Failure::Exchange {
            cause: error.into_error(),
            is_stale: false,
        })
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "it would keep room for the request twice"
    )]
    fn exchange(
        &self,
        mut line: Line,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> {
        async move {
            match line.sender.try_send_request(request).await {
                Ok(answer) => {
                    self.rest(line);
                    Ok(answer)
                }
                Err(mut error) => Err(Unanswered {
                    unsent: error.take_message().filter(|_| line.was_idle),
                    failure: Failure::Exchange {
                        cause: error.into_error(),
                        is_stale: line.heard.is_stale(),
                    },
                }),
            }
        }
    }

    /// The idle connection that was in use last.
    fn take(&self) -> Option<Line> {
        let mut idle = self.0.idle.borrow_mut();
        let Idle { line, since } = loop {
            let last = idle.pop_back()?;
            // A new one is open, but has not said yet that it is ready.
            if !last.line.sender.is_closed() {
                break last;
            }
        };
        (since.elapsed() < self.0.most_idle).then_some(line)
    }

    /// A new connection, or one that comes free before.
    async fn next(&self) -> Result<Line, Failure> {
        let (waiter, freed) = oneshot::channel();
        {
            let mut waiting = self.0.waiting.borrow_mut();
            waiting.retain(|waiter| !waiter.is_closed());
            waiting.push_back(waiter);
        }
        let mut made = Box::pin(self.clone().connect());
        tokio::select! {
            biased;
            Ok(line) = freed => {
                // The next request has use for it.
                let pool = self.clone();
                rt::spawn(async move {
                    if let Ok(line) = made.await {
                        pool.put(line);
                    }
                });
                Ok(line)
            }
            line = &mut made => line,
        }
    }

    async fn connect(self) -> Result<Line, Failure> {
        let connected = self.0.connector.connect().await;
        let (wire, heard) = connected.map_err(Failure::Connect)?;
        let mut builder = http1::Builder::new();
        let handshake = builder
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(wire))
            .await;
        let (sender, connection) = handshake.map_err(|cause| Failure::Exchange {
            cause,
            is_stale: false,
        })?;
        let rest = Rc::new(Rest::default());
        let line = Line {
            sender,
            heard,
            was_idle: false,
            rest: Rc::downgrade(&rest),
        };
        // In the worker's own queue of tasks. tokio's queue is another one, and each change between the two asks the kernel for
        // events first.
        rt::spawn(drive(
            connection.with_upgrades(),
            rest,
            Rc::downgrade(&self.0),
        ));
        Ok(line)
    }

    /// Takes a connection whose answer has begun. It is idle when the answer is over.
    fn rest(&self, line: Line) {
        if line.sender.is_ready() {
            self.put(line);
        } else if let Some(rest) = line.rest.upgrade() {
            *rest.borrow_mut() = Some(line);
        }
    }

    /// Takes a connection that has nothing to do.
    fn put(&self, line: Line) {
        let mut line = Line {
            was_idle: true,
            ..line
        };
        let next = || self.0.waiting.borrow_mut().pop_front();
        while let Some(waiter) = next() {
            match waiter.send(line) {
                Ok(()) => return,
                Err(unwanted) => line = unwanted,
            }
        }
        let since = Instant::now();
        let mut idle = self.0.idle.borrow_mut();
        idle.push_back(Idle { line, since });
        if idle.len() > self.0.most {
            idle.pop_front();
        }
        if !self.0.is_swept.replace(true) {
            let first = since + self.0.most_idle;
            rt::spawn(sweep(Rc::downgrade(&self.0), first));
        }
    }
}

/// Runs a connection until it ends, and returns it to the pool after each answer.
async fn drive(
    connection: impl Future<Output = hyper::Result<()>>,
    rest: Rc<Rest>,
    pool: Weak<Shared>,
) {
    let mut connection = pin!(connection);
    let ended = poll_fn(|cx| {
        let ended = connection.as_mut().poll(cx);
        // hyper asks for the next request when nothing is left to read or write of the one before.
        let line = rest.borrow_mut().take_if(|line| line.sender.is_ready());
        if ended.is_pending()
            && let Some(line) = line
            && let Some(pool) = pool.upgrade()
        {
            Pool(pool).put(line);
        }
        ended
    });
    // The request on it, if there is one, gets the error.
    let _ = ended.await;
}

/// Lets go of connections that have been idle for too long, as long as there are idle ones.
async fn sweep(pool: Weak<Shared>, mut next: Instant) {
    loop {
        sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle.borrow_mut();
        let is_over = |idle: &mut Idle| idle.since.elapsed() >= pool.most_idle;
        while idle.pop_front_if(is_over).is_some() {}
        match idle.front() {
            Some(idle) => next = idle.since + pool.most_idle,
            None => break pool.is_swept.set(false),
        }
    }
}

/// The target as a server gets it (RFC 9112 §3.2.1).
fn put_in_origin_form(request: &mut Request<RequestBody>) {
    if let Some(target) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(target.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use bytes::Bytes;
    use http::header::HOST;
    use http_body_util::BodyExt as _;
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::time::{sleep, timeout};
    use url::Url;

    use super::*;
    use crate::names::UpstreamName;
    use crate::proxy::call::base::Base;
    use crate::proxy::call::upstream::tls_config;
    use crate::proxy::testing::{RawUpstream, Talk};
    use crate::telemetry::metrics::Metrics;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const LONG: Duration = Duration::from_mins(1);

    fn pool(addr: std::net::SocketAddr, most: usize, most_idle: Duration) -> Pool {
        let base = Base::of(&Url::parse(&format!("http://{addr}")).unwrap()).unwrap();
        let name = UpstreamName::parse("orders").unwrap();
        let connections = Metrics::default().upstream_connections(&name);
        let tls = tls_config(None).unwrap();
        let connector = Connector::new(base.origin().unwrap(), tls, LONG, connections);
        Pool::new(connector, most, most_idle)
    }

    fn request() -> Request<RequestBody> {
        let request = Request::post("http://o/x?y").header(HOST, "o");
        request.body(RequestBody::default()).unwrap()
    }

    async fn ask(pool: &Pool) -> Result<Bytes, Failure> {
        let answer = pool.send(request()).await?;
        Ok(answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// Answers each request of each connection after a while, and counts the connections that have ended.
    async fn upstream(ended: Rc<Cell<usize>>) -> RawUpstream {
        RawUpstream::start(move |mut talk, _| {
            let ended = Rc::clone(&ended);
            async move {
                while let Some(head) = talk.head().await {
                    assert!(head.starts_with("POST /x?y HTTP/1.1\r\n"), "{head}");
                    sleep(Duration::from_millis(50)).await;
                    talk.say(OK).await;
                }
                ended.set(ended.get() + 1);
            }
        })
        .await
    }

    async fn until(what: impl Fn() -> bool) {
        let wait = async {
            while !what() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), wait)
            .await
            .expect("in time");
    }

    #[actix_web::test]
    async fn an_idle_connection_serves_the_next_request_and_ends_after_its_time() {
        let ended = Rc::new(Cell::new(0));
        let upstream = upstream(Rc::clone(&ended)).await;
        let pool = pool(upstream.addr, 9, Duration::from_millis(300));
        for _ in 0..3 {
            assert_eq!(ask(&pool).await.unwrap(), "ok");
        }
        assert_eq!((upstream.connections(), ended.get()), (1, 0));
        until(|| ended.get() == 1).await;
        assert_eq!(ask(&pool).await.unwrap(), "ok", "on a new connection");
        until(|| ended.get() == 2).await;
    }

    #[actix_web::test]
    async fn a_connection_serves_one_request_at_a_time_and_at_most_so_many_stay() {
        let ended = Rc::new(Cell::new(0));
        let upstream = upstream(Rc::clone(&ended)).await;
        let pool = pool(upstream.addr, 1, LONG);
        let (a, b, c) = tokio::join!(ask(&pool), ask(&pool), ask(&pool));
        assert!(
            [a, b, c]
                .iter()
                .all(|answer| answer.as_ref().unwrap() == "ok")
        );
        assert_eq!(upstream.connections(), 3);
        until(|| ended.get() == 2).await;
        drop(pool);
        until(|| ended.get() == 3).await;
    }

    /// Nobody accepts a second connection here, so it does not come about.
    #[actix_web::test]
    async fn a_request_takes_a_connection_that_comes_free_before_its_own() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let pool = pool(addr, 9, LONG);
        let (first, stream) = tokio::join!(
            async {
                let mut line = pool.clone().connect().await.unwrap();
                line.was_idle = true;
                line
            },
            listener.accept()
        );
        // The kernel completes one more connection, and no third one.
        let _fills = TcpStream::connect(addr).await.unwrap();
        let mut talk = Talk::over(stream.unwrap().0);
        let waits = async {
            let (answer, ()) = tokio::join!(ask(&pool), async {
                until(|| !pool.0.waiting.borrow().is_empty()).await;
                pool.put(first);
                talk.head().await.unwrap();
                talk.say(OK).await;
            });
            answer.unwrap()
        };
        let answer = timeout(Duration::from_secs(10), waits).await;
        assert_eq!(answer.expect("in time"), "ok");
    }

    #[actix_web::test]
    async fn only_a_request_that_was_not_sent_comes_back_and_only_from_a_connection_that_was_idle()
    {
        for was_idle in [true, false] {
            let upstream = RawUpstream::start(|_, _| async {}).await;
            let pool = pool(upstream.addr, 9, LONG);
            let mut line = pool.clone().connect().await.unwrap();
            line.was_idle = was_idle;
            until(|| line.sender.is_closed()).await;
            let unanswered = pool.exchange(line, request()).await.unwrap_err();
            assert_eq!(unanswered.unsent.is_some(), was_idle);
        }
        let upstream = RawUpstream::start(|mut talk, _| async move {
            talk.head().await;
        })
        .await;
        let pool = pool(upstream.addr, 9, LONG);
        let mut line = pool.clone().connect().await.unwrap();
        line.was_idle = true;
        let unanswered = pool.exchange(line, request()).await.unwrap_err();
        assert!(unanswered.unsent.is_none(), "it was sent");
    }
}
