//! An API refuses an access token that has not ended: one refresh, one more try, where that is possible (D21).

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealgate::demo::idp::{Faults, TokenFault};
use serde_json::json;

use crate::support::upstream::RawUpstream;
use crate::support::{Request, TestBff};

const SECOND: Duration = Duration::from_secs(1);

/// An API that knows which tokens it no longer likes.
struct Picky {
    upstream: RawUpstream,
    refused: Arc<Mutex<Refusals>>,
}

#[derive(Default)]
struct Refusals {
    tokens: HashSet<String>,
    /// The next token it sees is refused, and so on each time it is seen again.
    next: usize,
    /// The heads of all requests.
    seen: Vec<String>,
}

fn picky() -> Picky {
    let refused = Arc::new(Mutex::new(Refusals::default()));
    let shared = Arc::clone(&refused);
    let upstream = RawUpstream::start(move |mut talk| {
        while let Some(head) = talk.head() {
            let token = authorization(&head);
            let mut refusals = shared.lock().unwrap();
            if refusals.next > 0 && !refusals.tokens.contains(&token) {
                refusals.next -= 1;
                refusals.tokens.insert(token.clone());
            }
            let is_refused = refusals.tokens.contains(&token);
            let closes = head.contains("content-length") || head.contains("chunked");
            refusals.seen.push(head);
            drop(refusals);
            talk.say(if is_refused {
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\", \
                 Bearer error=\"invalid_token\"\r\nX-Of: upstream\r\nConnection: close\r\n\
                 Content-Length: 2\r\n\r\nno"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
            });
            if closes || is_refused {
                return;
            }
        }
    });
    Picky { upstream, refused }
}

fn authorization(head: &str) -> String {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    line.unwrap_or_default().to_owned()
}

impl Picky {
    fn refuse_next(&self, n: usize) {
        self.refused.lock().unwrap().next = n;
    }

    fn seen(&self) -> usize {
        self.refused.lock().unwrap().seen.len()
    }

    fn bff(&self) -> TestBff {
        TestBff::with(|setup| setup.tables = self.upstream.route(""))
    }
}

#[test]
fn a_refused_token_is_renewed_once_and_the_request_sent_again() {
    let api = picky();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.refuse_next(1);
    let before = browser.cookie("__Host-Http-shop").unwrap().value.clone();
    let answer = browser.fetch("GET", "/raw/7?x=1");
    assert_eq!((answer.status, &*answer.text()), (200, "yes"));
    assert_eq!(bff.token_calls("refresh_token"), 1);
    assert_eq!(api.seen(), 2);
    let after = browser.cookie("__Host-Http-shop").unwrap().value.clone();
    assert_ne!(after, before, "the answer brings the new session");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "D27");
    // Both asked for the same.
    let seen = api.refused.lock().unwrap().seen.clone();
    assert!(seen.iter().all(|head| head.starts_with("GET /base/7?x=1 ")));
    assert_ne!(authorization(&seen[0]), authorization(&seen[1]));
    // From now on the new token serves.
    assert_eq!(browser.fetch("GET", "/raw/8").status, 200);
    assert_eq!((bff.token_calls("refresh_token"), api.seen()), (1, 3));
}

#[test]
fn a_token_that_is_refused_anew_is_passed_and_not_renewed_for_each_request() {
    // D21, B57
    let api = picky();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.refuse_next(usize::MAX);
    let answer = browser.fetch("GET", "/raw");
    assert_eq!((answer.status, &*answer.text()), (401, "no"));
    assert_eq!(answer.header("x-of"), Some("upstream"));
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!((bff.token_calls("refresh_token"), api.seen()), (1, 2));
    for _ in 0..5 {
        assert_eq!(browser.fetch("GET", "/raw").status, 401);
    }
    assert_eq!(bff.token_calls("refresh_token"), 1, "it did not help");
    assert_eq!(api.seen(), 7);
    bff.clock.advance(SECOND * 60);
    assert_eq!(browser.fetch("GET", "/raw").status, 401);
    assert_eq!((bff.token_calls("refresh_token"), api.seen()), (2, 9));
    // The session is whole.
    assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
}

#[test]
fn a_token_that_was_renewed_for_this_request_is_not_renewed_again_even_within_a_second() {
    // D21: the clock stands, and tokens end as they come
    let api = picky();
    let bff = api.bff();
    let at_once = TokenFault::With("expires_in", json!(0));
    bff.idp.faults().inject(Faults::ALWAYS, at_once);
    let mut browser = bff.signed_in();
    // Q: so long at the least
    bff.clock.advance(SECOND * 5);
    api.refuse_next(usize::MAX);
    assert_eq!(browser.fetch("GET", "/raw").status, 401);
    assert_eq!((bff.token_calls("refresh_token"), api.seen()), (1, 1));
}

#[test]
fn a_request_with_a_body_is_not_sent_again() {
    let api = picky();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    api.refuse_next(1);
    let posted = Request::new("POST", "/raw")
        .header("x-csrf", "1")
        .body(b"x=1".to_vec());
    assert_eq!(browser.send(posted).status, 401);
    assert_eq!((bff.token_calls("refresh_token"), api.seen()), (0, 1));
    assert_eq!(browser.fetch("POST", "/raw").status, 200, "without a body");
    assert_eq!((bff.token_calls("refresh_token"), api.seen()), (1, 3));
}

#[test]
fn parallel_requests_with_one_refused_token_make_one_token_call() {
    // G4
    let api = picky();
    let bff = api.bff();
    let browser = bff.signed_in();
    api.refuse_next(1);
    bff.idp.faults().inject(1, TokenFault::Delay(SECOND / 2));
    let cookies = browser.api_cookie_line("/raw");
    let addr = bff.addr;
    let ask = move |n: usize| {
        Request::new("GET", &format!("/raw/{n}"))
            .header("host", "shop.test")
            .header("x-csrf", "1")
            .header("cookie", &cookies)
            .send(addr)
    };
    let threads: Vec<_> = (0..10)
        .map(|n| {
            let ask = ask.clone();
            std::thread::spawn(move || ask(n).status)
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 200);
    }
    assert_eq!(bff.token_calls("refresh_token"), 1);
    // One who comes late with the old cookie is refused, too, and finds the result: never the refused token again.
    assert_eq!(ask(11).status, 200);
    assert_eq!(bff.token_calls("refresh_token"), 1);
}

#[test]
fn where_no_new_token_can_be_had_the_401_passes_and_the_session_stays() {
    // G6
    for fault in [
        TokenFault::InvalidGrant,
        TokenFault::DropConnection,
        TokenFault::Answer {
            status: 503,
            body: String::new(),
        },
    ] {
        let api = picky();
        let bff = api.bff();
        let mut browser = bff.signed_in();
        api.refuse_next(1);
        bff.idp.faults().inject(Faults::ALWAYS, fault.clone());
        let answer = browser.fetch("GET", "/raw");
        assert_eq!((answer.status, &*answer.text()), (401, "no"), "{fault:?}");
        assert!(
            !answer
                .headers("set-cookie")
                .iter()
                .any(|line| line.starts_with("__Host-Http-shop=")),
            "{fault:?}: G9"
        );
        assert_eq!(api.seen(), 1, "{fault:?}");
        assert_eq!(browser.fetch("GET", "/api/echo").status, 200, "{fault:?}");
    }
}

#[test]
fn only_a_users_token_is_renewed() {
    for token in ["none", "client"] {
        let api = picky();
        let tables = api.upstream.route("");
        let tables = tables.replace("token = \"user\"", &format!("token = \"{token}\""));
        let bff = TestBff::with(|setup| setup.tables = tables);
        let mut browser = bff.signed_in();
        api.refuse_next(1);
        assert_eq!(browser.fetch("GET", "/raw").status, 401, "{token}");
        assert_eq!((bff.token_calls("refresh_token"), api.seen()), (0, 1));
    }
}

#[test]
fn a_token_that_was_got_for_a_refused_one_does_not_bring_an_ended_session_back() {
    // G10
    let api = picky();
    let bff = api.bff();
    let mut browser = bff.signed_in();
    let mut session = browser.cookie("__Host-Http-shop").unwrap().clone();
    let cookies = browser.api_cookie_line("/raw");
    api.refuse_next(1);
    // Its answer is still under way when the logout is sent.
    let late = Request::new("GET", "/raw")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &cookies)
        .send(bff.addr);
    assert_eq!(late.status, 200);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    let lines = late.headers("set-cookie");
    let line = lines
        .iter()
        .find_map(|line| line.strip_prefix("__Host-Http-shop="))
        .expect("the new session");
    let value = line.split(';').next().unwrap().to_owned();
    session.value = value;
    browser.jar.push(session);
    for path in ["/raw", "/api/echo"] {
        let answer = browser.fetch("GET", path);
        assert_eq!(answer.problem(), "login-required", "{path}");
    }
}
