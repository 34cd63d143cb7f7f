//! Clients that would keep an API to themselves: places at an upstream are shared out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::support::process::{Server, eventually};
use crate::support::upstream::{RawUpstream, Talk};
use crate::support::{Browser, ORIGIN, Request, Site};
use crate::websocket::SWITCHED;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(8);

/// For what must not come.
const MOMENT: Duration = Duration::from_millis(300);

/// An upstream with four places. `/few` leads there for everybody, `/mine` for whoever is signed in; `/eight` and `/own` to one with
/// eight places; `/tunnel` to one with four tunnels.
struct Few {
    /// Signed in. Its requests come from 127.0.0.1.
    browser: Browser,
    server: Server,
    /// How many of the requests that last have reached the upstream.
    begun: Arc<AtomicUsize>,
    // Dropped last: it looks for secrets in what the server said.
    _site: Site,
}

impl Few {
    /// `last` serves the requests that the upstream does not just answer: all but those for a route's own path.
    fn serving(last: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let upstream = RawUpstream::start(move |mut talk| {
            while let Some(head) = talk.head() {
                if head.starts_with("GET / HTTP") {
                    talk.say(OK);
                } else {
                    count.fetch_add(1, Ordering::SeqCst);
                    last(&mut talk);
                }
            }
        });
        let upstream = upstream.addr;
        let tables = format!(
            r#"
[upstream.few]
url = "http://{upstream}"
max_connections = 4
timeout = "8s"
[upstream.eight]
url = "http://{upstream}"
max_connections = 8
timeout = "8s"
[upstream.tunnels]
url = "http://{upstream}"
max_connections = 8
[frontend.shop.route.few]
path = "/few"
upstream = "few"
token = "none"
[frontend.shop.route.mine]
path = "/mine"
upstream = "few"
token = "user"
[frontend.shop.route.eight]
path = "/eight"
upstream = "eight"
token = "none"
[frontend.shop.route.own]
path = "/own"
upstream = "eight"
token = "user"
timeout = "4s"
[frontend.shop.route.tunnel]
path = "/tunnel"
upstream = "tunnels"
token = "none"
websocket = true
"#
        );
        let site = Site::with(ORIGIN, "trusted_proxies = [\"127.0.0.1/32\"]", &tables);
        let server = site.serve();
        Self {
            browser: site.signed_in(&server),
            server,
            begun,
            _site: site,
        }
    }

    /// The same request of each of these clients, when all of them have a place.
    #[track_caller]
    fn hold(&self, clients: &[&str], request: &str) -> Vec<TcpStream> {
        let before = self.begun.load(Ordering::SeqCst);
        let begin = |client: &&str| begin(self.server.addr, client, request);
        let held = clients.iter().map(begin).collect();
        eventually("they have their places", || {
            (self.begun.load(Ordering::SeqCst) == before + clients.len()).then_some(())
        });
        held
    }
}

/// A request of the client with this address, as a trusted proxy passes it on.
fn begin(server: SocketAddr, client: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    let (line, rest) = request.split_once("\r\n").unwrap();
    let head =
        format!("{line}\r\nhost: shop.test\r\nx-csrf: 1\r\nx-forwarded-for: {client}\r\n{rest}");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// A request of whose body enough is sent to take a place, and not all.
fn half(path: &str) -> String {
    let begun = "x".repeat(1024);
    format!("POST {path} HTTP/1.1\r\ncontent-length: 99999\r\n\r\n{begun}")
}

/// The beginning of what comes back, if any comes in this time.
fn status(stream: &mut TcpStream, patience: Duration) -> Option<String> {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line[9..]).into_owned())
}

#[test]
fn bodies_that_do_not_come_take_no_place() {
    // B: 1,024 such requests, and whoever was signed in got 504
    let mut few = Few::serving(|talk| {
        talk.hear();
        talk.say(OK);
    });
    for framing in ["content-length: 1", "transfer-encoding: chunked"] {
        let request = format!("POST /few HTTP/1.1\r\n{framing}\r\n\r\n");
        let stalled: Vec<_> = (0..16)
            .map(|n| begin(few.server.addr, &format!("192.0.2.{n}"), &request))
            .collect();
        assert_eq!(few.browser.fetch("GET", "/mine").status, 200, "{framing}");
        let sent = Request::new("POST", "/mine")
            .header("x-csrf", "1")
            .body("x");
        assert_eq!(few.browser.send(sent).status, 200, "{framing}");
        drop(stalled);
    }
    // What is known to be empty waits for nothing.
    let empty = "POST /few HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut empty = begin(few.server.addr, "192.0.2.1", empty);
    assert_eq!(status(&mut empty, PATIENCE).as_deref(), Some("200"));
}

#[test]
fn bodies_of_which_a_byte_has_come_share_few_places() {
    // B, issue 10: 2,000 of them took as many connections to the upstream as there were places, and 105 MiB
    let mut few = Few::serving(|talk| while !talk.hear().is_empty() {});
    let request = "POST /few HTTP/1.1\r\ncontent-length: 2000\r\n\r\nx";
    let _first = few.hold(&["192.0.2.1"], request);
    let mut others: Vec<_> = (2..16)
        .map(|n| begin(few.server.addr, &format!("192.0.2.{n}"), request))
        .collect();
    for _ in 0..2 {
        assert_eq!(few.browser.fetch("GET", "/mine").status, 200);
    }
    assert_eq!(few.begun.load(Ordering::SeqCst), 1);
    // Whoever sends more goes on, and so does whoever sends all, in however small pieces.
    let [more, ..] = &mut others[..] else {
        unreachable!("there are some")
    };
    more.write_all(&[b'x'; 1023]).unwrap();
    eventually("enough has come", || {
        (few.begun.load(Ordering::SeqCst) == 2).then_some(())
    });
    let chunks = "POST /few/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
    let mut chunked = begin(few.server.addr, "192.0.2.1", chunks);
    assert_eq!(few.browser.fetch("GET", "/mine").status, 200);
    chunked.write_all(b"0\r\n\r\n").unwrap();
    eventually("it is whole", || {
        (few.begun.load(Ordering::SeqCst) == 3).then_some(())
    });
}

#[test]
fn one_client_cannot_take_the_last_place_by_answers_that_last() {
    // B of the review, by answers: nobody waits, and the client reads all that comes
    let mut few = Few::serving(|talk| {
        talk.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n");
        while !talk.hear().is_empty() {}
    });
    let events = "GET /few/events HTTP/1.1\r\n\r\n";
    let mut held = few.hold(&["192.0.2.1"; 3], events);
    for stream in &mut held {
        assert_eq!(status(stream, PATIENCE).as_deref(), Some("200"));
    }
    let mut one_more = begin(few.server.addr, "192.0.2.1", events);
    assert_eq!(status(&mut one_more, MOMENT), None, "it waits for its own");
    for _ in 0..2 {
        assert_eq!(few.browser.fetch("GET", "/mine").status, 200);
    }
    drop(held.pop());
    assert_eq!(status(&mut one_more, PATIENCE).as_deref(), Some("200"));
}

#[test]
fn a_user_is_answered_whatever_nobody_else_leaves_unfinished() {
    // B, issue 10: 2,000 uploads begun at the user's own address, and one of the user's requests waited for five seconds
    let half = half("/eight");
    let kept = "GET /eight/kept HTTP/1.1\r\n\r\n";
    let many: Vec<_> = (1..8).map(|n| format!("192.0.2.{n}")).collect();
    let crowds = [
        (kept, vec!["127.0.0.1"; 6]),
        (&half, vec!["127.0.0.1"; 6]),
        (kept, many.iter().map(String::as_str).collect()),
    ];
    for (request, clients) in crowds {
        let mut few = Few::serving(|talk| while !talk.hear().is_empty() {});
        let held = few.hold(&clients, request);
        let waiting: Vec<_> = clients
            .iter()
            .map(|client| begin(few.server.addr, client, request))
            .collect();
        for _ in 0..2 {
            assert_eq!(
                few.browser.fetch("GET", "/own").status,
                200,
                "{request:.20} of {clients:?}"
            );
        }
        drop((held, waiting));
    }
}

#[test]
fn one_client_cannot_take_the_last_tunnel() {
    // B of the review, by WebSockets
    let few = Few::serving(|talk| {
        talk.say(SWITCHED);
        while !talk.hear().is_empty() {}
    });
    let handshake = format!(
        "GET /tunnel/ws HTTP/1.1\r\norigin: {ORIGIN}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let asked = |client: &str| {
        let mut stream = begin(few.server.addr, client, &handshake);
        (status(&mut stream, PATIENCE).unwrap(), stream)
    };
    let mut held: Vec<_> = (0..3).map(|_| asked("192.0.2.1")).collect();
    for (status, _) in &held {
        assert_eq!(status, "101");
    }
    assert_eq!(asked("192.0.2.1").0, "429");
    let (status, other) = asked("192.0.2.2");
    assert_eq!(status, "101");
    assert_eq!(asked("192.0.2.3").0, "504", "all are in use");
    drop((held.pop(), other));
    eventually("its next one", || {
        (asked("192.0.2.1").0 == "101").then_some(())
    });
}

#[test]
fn a_client_with_too_many_half_bodies_gives_one_up() {
    // B, with one byte more
    let mut few = Few::serving(|talk| {
        talk.hear();
        talk.hear();
    });
    let half = half("/few");
    let mut greedy = few.hold(&["192.0.2.1"; 3], &half);
    let mut other = few.hold(&["192.0.2.2"], &half);
    assert_eq!(few.browser.fetch("GET", "/mine").status, 200);
    let refused = greedy
        .iter_mut()
        .filter_map(|stream| status(stream, MOMENT));
    assert_eq!(refused.collect::<Vec<_>>(), ["429"], "one was enough");
    assert_eq!(status(&mut other[0], MOMENT), None, "it holds a quarter");
}

#[test]
fn while_others_wait_who_holds_over_a_quarter_is_refused() {
    // B
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let mut few = Few::serving(move |talk| {
        let _ = may_go.lock().unwrap().recv_timeout(PATIENCE);
        talk.say(OK);
    });
    let get = "GET /few/held HTTP/1.1\r\n\r\n";
    let mut held = few.hold(&["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"], get);
    let server = few.server.addr;
    std::thread::scope(|scope| {
        let browser = &mut few.browser;
        let waiting = scope.spawn(|| browser.fetch("GET", "/mine"));
        // Until the other one waits, this one does.
        eventually("refused", || {
            let mut one_more = begin(server, "192.0.2.1", "GET /few HTTP/1.1\r\n\r\n");
            (status(&mut one_more, MOMENT)? == "429").then_some(())
        });
        assert!(!waiting.is_finished());
        go.send(()).unwrap();
        assert_eq!(waiting.join().unwrap().status, 200);
    });
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    for held in &mut held {
        let answer = status(held, PATIENCE);
        assert_eq!(answer.as_deref(), Some("200"), "what it has, it keeps");
    }
}

#[test]
fn who_does_not_read_loses_its_place_when_others_need_it() {
    // B, the other way round; most of them have the address of whoever waits
    let mut few = Few::serving(|talk| {
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n");
        talk.flood(1 << 30, Duration::from_secs(30));
    });
    let clients = ["127.0.0.1", "127.0.0.1", "127.0.0.1", "192.0.2.1"];
    let unread = few.hold(&clients, "GET /few/large HTTP/1.1\r\n\r\n");
    assert_eq!(few.browser.fetch("GET", "/mine").status, 200);
    drop(unread);
}

#[test]
fn who_sends_a_byte_now_and_then_loses_its_place_when_others_need_it() {
    // B, slowly, and from many addresses
    let mut few = Few::serving(|talk| while !talk.hear().is_empty() {});
    let clients = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let mut slow = few.hold(&clients, &half("/few"));
    let over = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while over.load(Ordering::SeqCst) == 0 {
                for stream in &mut slow {
                    let _ = stream.write_all(b"x");
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let answer = few.browser.fetch("GET", "/mine");
        over.store(1, Ordering::SeqCst);
        assert_eq!(answer.status, 200);
    });
}
