//! Many sessions, each with many requests at the moment its access token ends, or with an API for each of its tokens.
//!
//! `SEALGATE_SESSIONS=1000 cargo test --release --test it crowd -- --nocapture` runs the full size and prints figures.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sealgate::demo::idp::Rotation;

use crate::support::device::Device;
use crate::support::native::{App, NATIVE, Tokens};
use crate::support::{Browser, Request, TestBff};

/// What one page sends at once.
const PARALLEL: usize = 20;
/// Pages that come back in the same moment.
const PAGES: usize = 3;

pub fn sessions(usually: usize) -> usize {
    std::env::var("SEALGATE_SESSIONS").map_or(usually, |count| count.parse().unwrap())
}

#[test]
fn each_of_many_sessions_is_refreshed_by_one_call_and_no_request_is_refused() {
    // G4, G5: with strict rotation, so that a second call would end the session
    let bff = TestBff::with(|setup| setup.rotation = Rotation::Rotate);
    let sessions = sessions(100);
    let begun = Instant::now();
    let lines: Vec<String> = (0..sessions)
        .map(|_| bff.signed_in().api_cookie_line("/api/echo"))
        .collect();
    let logged_in = begun.elapsed();
    bff.clock.advance(Duration::from_secs(301));
    let (good, renewed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for page in 0..PAGES {
            for n in 0..PARALLEL {
                let (lines, bff, good, renewed) = (&lines, &bff, &good, &renewed);
                scope.spawn(move || {
                    for cookies in lines.iter().skip(page).step_by(PAGES) {
                        let answer = Request::new("GET", &format!("/api/echo/{n}"))
                            .header("host", "shop.test")
                            .header("x-csrf", "1")
                            .header("cookie", cookies)
                            .send(bff.addr);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        good.fetch_add(1, Ordering::Relaxed);
                        let lines = answer.headers("set-cookie");
                        let is_session = |line: &&str| line.starts_with("__Host-Http-shop=");
                        renewed.fetch_add(
                            lines.iter().copied().filter(is_session).count(),
                            Ordering::Relaxed,
                        );
                    }
                });
            }
        }
    });
    let took = begun.elapsed();
    let calls = bff.token_calls("refresh_token");
    println!(
        "{sessions} sessions × {PARALLEL} requests: {calls} token calls, {} answers of 200, {} with the new session; \
         logins {logged_in:.1?}, requests {took:.1?}",
        good.load(Ordering::Relaxed),
        renewed.load(Ordering::Relaxed),
    );
    assert_eq!(calls as usize, sessions);
    assert_eq!(good.into_inner(), sessions * PARALLEL);
    assert_eq!(renewed.into_inner(), sessions * PARALLEL);
}

/// An API each: what its token is good for.
const AUDIENCES: [&str; 4] = ["orders", "stock", "prices", "reviews"];
/// Requests to one API that a page sends at once.
const SAME: usize = 3;

#[test]
fn each_of_many_sessions_exchanges_its_token_once_for_each_api() {
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let bff = TestBff::with(|setup| {
        let route = |name| {
            format!(
                "[frontend.shop.route.{name}]\npath = \"/api/{name}\"\nupstream = \"api\"\n\
                 exchange = {{ audience = \"https://{name}.internal\" }}\n"
            )
        };
        setup.tables = AUDIENCES.map(route).concat();
    });
    let sessions = sessions(20);
    let lines: Vec<String> = (0..sessions)
        .map(|_| bff.signed_in().api_cookie_line("/api/orders"))
        .collect();
    let round = || {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for name in AUDIENCES.iter().cycle().take(AUDIENCES.len() * SAME) {
                let (lines, bff) = (&lines, &bff);
                scope.spawn(move || {
                    for cookies in lines {
                        let answer = Request::new("GET", &format!("/api/{name}"))
                            .header("host", "shop.test")
                            .header("x-csrf", "1")
                            .header("cookie", cookies)
                            .send(bff.addr);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        let claims = &answer.json()["authorization"]["token_claims"];
                        assert_eq!(claims["aud"], format!("https://{name}.internal"));
                    }
                });
            }
        });
        let calls = bff.token_calls(exchange);
        println!(
            "{sessions} sessions × {} APIs × {SAME} requests: {calls} exchanges so far, {:.1?}",
            AUDIENCES.len(),
            begun.elapsed()
        );
        calls as usize
    };
    let pairs = sessions * AUDIENCES.len();
    assert_eq!(round(), pairs);
    bff.clock.advance(Duration::from_secs(200));
    assert_eq!(round(), pairs, "of 300 s of life, the last 30 are not used");
    // The cookies are from before the refresh: each request shares it, and what came in exchange after it.
    bff.clock.advance(Duration::from_secs(101));
    assert_eq!(round(), 2 * pairs);
    assert_eq!(bff.token_calls("refresh_token") as usize, sessions);
}

/// Browsers whose sessions are bound to their devices.
const BOUND: usize = 30;

#[test]
fn bound_sessions_are_refreshed_by_one_call_whatever_replica_answers() {
    // Three replicas that share the keys alone, and strict rotation: a second call for one token would end the session. A
    // browser holds its requests until it has proved.
    let bff = TestBff::with(|setup| {
        setup.rotation = Rotation::Rotate;
        setup.session = "device_binding = \"preferred\"".to_owned();
    });
    let others = [bff.replica(), bff.replica()];
    let addrs = [bff.addr, others[0].addr, others[1].addr];
    let mut clients: Vec<(Browser, Device)> = (0..BOUND)
        .map(|_| {
            let mut browser = bff.signed_in();
            let device = Device::bind(&mut browser);
            (browser, device)
        })
        .collect();
    for round in 1..=3 {
        bff.clock.advance(Duration::from_secs(301));
        std::thread::scope(|scope| {
            for (n, (browser, device)) in clients.iter_mut().enumerate() {
                scope.spawn(move || {
                    browser.resolve("shop.test", addrs[(n + round) % addrs.len()]);
                    let answer = device.prove(browser);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(answer.json()["continue"], true);
                    let cookies = browser.api_cookie_line("/api/echo");
                    std::thread::scope(|scope| {
                        for addr in addrs.iter().cycle().take(PARALLEL / 2) {
                            let cookies = &cookies;
                            scope.spawn(move || {
                                let answer = Request::new("GET", "/api/echo")
                                    .header("host", "shop.test")
                                    .header("x-csrf", "1")
                                    .header("cookie", cookies)
                                    .send(*addr);
                                assert_eq!(answer.status, 200, "{}", answer.text());
                                assert!(answer.headers("set-cookie").is_empty());
                            });
                        }
                    });
                });
            }
        });
        let calls = bff.token_calls("refresh_token") as usize;
        assert_eq!(
            calls,
            BOUND * round,
            "one an expiry, and no session is lost"
        );
    }
}

#[test]
fn apps_are_refreshed_by_one_call_whatever_replica_they_ask_first() {
    // As above, without cookies: an app that has new tokens shows them to any replica, and none asks the provider again.
    let bff = TestBff::with(|setup| {
        setup.rotation = Rotation::Rotate;
        setup.tables = NATIVE.to_owned();
    });
    let others = [bff.replica(), bff.replica()];
    let addrs = [bff.addr, others[0].addr, others[1].addr];
    let mut apps: Vec<(App, Tokens)> = (0..BOUND)
        .map(|_| {
            let mut app = bff.app();
            let tokens = app.sign_in(&bff);
            (app, tokens)
        })
        .collect();
    for round in 1..=3 {
        bff.clock.advance(Duration::from_secs(301));
        std::thread::scope(|scope| {
            for (n, (app, tokens)) in apps.iter_mut().enumerate() {
                scope.spawn(move || {
                    app.use_replica(addrs[(n + round) % addrs.len()]);
                    // The nonce has ended, as the access token has.
                    app.nonce = None;
                    let old = tokens.clone();
                    *tokens = Tokens::of(&app.refresh(&old.refresh));
                    assert_eq!(app.call("GET", "/api/echo", &old.access).status, 401);
                    let calls: Vec<(Request, _)> = addrs
                        .iter()
                        .cycle()
                        .take(PARALLEL / 2)
                        .map(|addr| (app.request("GET", "/api/echo", &tokens.access), *addr))
                        .collect();
                    std::thread::scope(|scope| {
                        for (request, addr) in calls {
                            scope.spawn(move || {
                                let answer = request.header("host", "shop.test").send(addr);
                                assert_eq!(answer.status, 200, "{}", answer.text());
                            });
                        }
                    });
                });
            }
        });
        let calls = bff.token_calls("refresh_token") as usize;
        assert_eq!(calls, BOUND * round, "one an expiry, and no app is lost");
    }
}
