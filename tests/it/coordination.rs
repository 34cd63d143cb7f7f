//! Replicas and a store: one refresh for all, sessions that end everywhere, a store that comes and goes.
//!
//! `coordination.test.mjs` and `store.test.mjs` in `tests/node` tell the same with a certified provider and real time. Here the clock is in the
//! test's hand, and all is done in seconds.

use std::net::SocketAddr;
use std::time::Duration;

use sealgate::demo::idp::{Secret, TokenFault};
use serde_json::{Value, json};

use crate::login::{arrive, callback_by_way_of};
use crate::support::device::{Device, offered};
use crate::support::process::{Place, eventually};
use crate::support::slow_directory::SlowDirectory;
use crate::support::store::Store;
use crate::support::{Browser, Replica, Request, Response, Site, TestBff};

/// Two replicas and what they share.
struct Fleet {
    bff: TestBff,
    other: Replica,
    store: Store,
    _place: Place,
}

impl Fleet {
    /// `None` where there is no store to start.
    fn start(on_failure: &str) -> Option<Self> {
        Self::with(on_failure, "")
    }

    /// With lines for `[frontend.shop.session]`.
    fn with(on_failure: &str, session: &str) -> Option<Self> {
        let store = Store::start()?;
        let place = Place::new();
        let url = place.write("store.url", &store.url());
        let section = format!(
            "[coordination]\nurl = {{ file = \"{}\" }}\non_failure = \"{on_failure}\"\nprefix = \"story\"\n",
            url.display()
        );
        let bff = TestBff::with(|setup| {
            setup.tables = section;
            setup.session = session.to_owned();
        });
        let other = bff.replica();
        let fleet = Self {
            bff,
            other,
            store,
            _place: place,
        };
        fleet.eventually_up(1);
        Some(fleet)
    }

    fn replicas(&self) -> [(SocketAddr, SocketAddr); 2] {
        [
            (self.bff.addr, self.bff.admin),
            (self.other.addr, self.other.admin),
        ]
    }

    /// Waits until each replica says so of the store, and has read the feed or knows that it cannot.
    fn eventually_up(&self, up: u64) {
        eventually("the store", || {
            let all = self.replicas();
            let mut all = all
                .iter()
                .map(|(_, admin)| (up_of(*admin), feed_of(*admin)));
            all.all(|(is_up, has_read)| is_up == up && (has_read || up == 0))
                .then_some(())
        });
    }

    /// The sum of a metric over both replicas.
    fn refreshes(&self, result: &str) -> u64 {
        let name = format!("sealgate_coordination_refresh_total{{result=\"{result}\"}}");
        let all = self.replicas();
        all.iter().map(|(_, admin)| metric(*admin, &name)).sum()
    }
}

fn metric(admin: SocketAddr, name: &str) -> u64 {
    let request = Request::new("GET", "/metrics").header("host", "localhost");
    let text = request.send(admin).text();
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
    values
        .find_map(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn up_of(admin: SocketAddr) -> u64 {
    metric(admin, "sealgate_coordination_up")
}

fn feed_of(admin: SocketAddr) -> bool {
    let request = Request::new("GET", "/metrics").header("host", "localhost");
    let never = "sealgate_coordination_feed_age_seconds -1";
    !request.send(admin).text().contains(never)
}

/// A call with these cookies, whichever replica it goes to.
fn ask(replica: SocketAddr, cookies: &str) -> Response {
    Request::new("GET", "/api/echo/x")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", cookies)
        .send(replica)
}

fn cookies(browser: &Browser) -> String {
    browser.api_cookie_line("/api/echo/x")
}

#[track_caller]
fn eventually_refused(replica: SocketAddr, cookies: &str) {
    eventually("the end of the session", || {
        let answer = ask(replica, cookies);
        (answer.status == 401 && answer.problem() == "login-required").then_some(())
    });
}

#[test]
fn one_replica_refreshes_and_the_others_take_its_tokens() {
    // G8, G12
    let Some(fleet) = Fleet::start("open") else {
        return;
    };
    let bff = &fleet.bff;
    let cookies = cookies(&bff.signed_in());
    bff.clock.advance(Duration::from_secs(290));
    // Long enough for all of them to come while the call is under way.
    let delay = TokenFault::Delay(Duration::from_millis(300));
    bff.idp.faults().inject(1, delay);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..10)
            .map(|n| {
                let (replica, _) = fleet.replicas()[n % 2];
                let cookies = &cookies;
                scope.spawn(move || ask(replica, cookies).status)
            })
            .collect();
        let calls = calls.into_iter();
        calls.map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 10]);
    assert_eq!(bff.token_calls("refresh_token"), 1, "strict rotation");
    // A request that comes late with the old cookie gets the new tokens, wherever it goes.
    for (replica, _) in fleet.replicas() {
        let answer = ask(replica, &cookies);
        assert_eq!(answer.status, 200);
        assert!(!answer.headers("set-cookie").is_empty());
    }
    assert_eq!(bff.token_calls("refresh_token"), 1);
    let results = ["led", "adopted", "alone", "failed"];
    assert_eq!(results.map(|result| fleet.refreshes(result)), [1, 1, 0, 0]);
}

#[test]
fn a_copied_cookie_opens_nowhere_after_a_logout() {
    // F5, G14
    let Some(fleet) = Fleet::start("open") else {
        return;
    };
    let bff = &fleet.bff;
    let (mut browser, friend) = (bff.signed_in(), bff.signed_in());
    let (copied, others) = (cookies(&browser), cookies(&friend));
    assert_eq!(ask(fleet.other.addr, &copied).status, 200);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    eventually_refused(fleet.other.addr, &copied);
    // A replica that starts later reads the feed from its beginning.
    let late = bff.replica();
    eventually_refused(late.addr, &copied);
    for replica in [bff.addr, fleet.other.addr, late.addr] {
        assert_eq!(ask(replica, &others).status, 200, "another session");
    }
}

#[test]
fn a_back_channel_logout_reaches_every_replica_and_counts_once() {
    // B63, B65, V8: Keycloak sends one for all sessions of the user
    let Some(fleet) = Fleet::start("open") else {
        return;
    };
    let bff = &fleet.bff;
    let mut browser = bff.signed_in();
    let all = [cookies(&browser), cookies(&bff.signed_in())];
    let session = browser.fetch("GET", "/bff/session").json();
    bff.clock.advance(Duration::from_secs(2));
    let token = logout_token(bff, ("sub", &session["claims"]["sub"]));
    assert_eq!(tell(fleet.other.addr, &token).status, 200);
    for (replica, _) in fleet.replicas() {
        for cookies in &all {
            eventually_refused(replica, cookies);
        }
        let again = tell(replica, &token).status;
        assert_eq!(again, 400, "the same token again");
    }
}

/// The provider's word that the sessions with this claim are over.
fn logout_token(bff: &TestBff, (claim, value): (&str, &Value)) -> String {
    let now = bff.clock.now().as_secs();
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let token = bff.idp.sign(json!({
        "aud": "shop", claim: value, "jti": "j-1", "iat": now, "exp": now + 120, "events": {event: {}},
    }));
    token.unwrap()
}

/// Tells it to a replica.
fn tell(replica: SocketAddr, logout_token: &str) -> Response {
    Request::new("POST", "/bff/backchannel")
        .header("host", "shop.test")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={logout_token}"))
        .send(replica)
}

/// The provider's word to a replica that its session with this `sid` is over.
fn end_at_provider(bff: &TestBff, sid: &str, replica: SocketAddr) {
    let told = tell(replica, &logout_token(bff, ("sid", &json!(sid))));
    assert_eq!(told.status, 200, "{}", told.text());
}

/// The provider's session that this browser's session came from.
fn sid(browser: &mut Browser) -> String {
    let session = browser.fetch("GET", "/bff/session").json();
    session["claims"]["sid"].as_str().unwrap().to_owned()
}

#[test]
fn a_login_that_is_under_way_when_the_provider_ends_its_session_fails() {
    // B66: the code is from before the logout, and the callback comes after it.
    let Some(fleet) = Fleet::start("open") else {
        return;
    };
    let bff = &fleet.bff;
    for is_ended in [false, true] {
        let (mut elsewhere, mut browser) = (bff.browser(), bff.browser());
        let callback = callback_by_way_of(bff, &mut elsewhere, &mut browser);
        bff.log_in(&mut elsewhere, "/bff/login");
        let of_provider = sid(&mut elsewhere);
        if is_ended {
            end_at_provider(bff, &of_provider, bff.addr);
        }
        bff.clock.advance(Duration::from_secs(5));
        let visit = arrive(&mut browser, &callback);
        if is_ended {
            assert_eq!(visit.response.status, 400, "{}", visit.response.text());
            assert_eq!(browser.fetch("GET", "/bff/user").status, 401);
        } else {
            assert_eq!(sid(&mut browser), of_provider);
        }
    }
}

#[test]
fn a_provider_whose_session_goes_on_may_begin_another_one_here() {
    // B66: Duende's RemoveSessions ends the session at a client and tells it so. The provider's own session can go on, and
    // its next ID token has the same sid.
    let Some(fleet) = Fleet::start("open") else {
        return;
    };
    let bff = &fleet.bff;
    let mut browser = bff.signed_in();
    let (ended, first) = (cookies(&browser), sid(&mut browser));
    end_at_provider(bff, &first, fleet.other.addr);
    for (replica, _) in fleet.replicas() {
        eventually_refused(replica, &ended);
    }
    bff.clock.advance(Duration::from_secs(2));
    let visit = bff.log_in(&mut browser, "/bff/login?returnUrl=/welcome");
    assert_eq!(visit.url.path(), "/welcome", "{}", visit.response.text());
    assert_eq!(sid(&mut browser), first, "it is the provider's old session");
    for (replica, _) in fleet.replicas() {
        assert_eq!(ask(replica, &cookies(&browser)).status, 200);
        assert_eq!(ask(replica, &ended).problem(), "login-required");
    }
}

#[test]
fn a_replica_that_is_ready_knows_what_was_ended() {
    // G14
    let Some(store) = Store::start() else {
        return;
    };
    let section = "[coordination]\nurl = { file = \"store.url\" }\non_failure = \"closed\"";
    let site = Site::with(crate::support::ORIGIN, "", section);
    site.place.write("store.url", &store.url());
    let server = site.serve();
    let mut browser = site.browser(&server);
    browser.log_in("/bff/login");
    // The feed of a new store is empty. To wait for its first entry would refuse every session meanwhile.
    assert_eq!(browser.fetch("GET", "/api/x").status, 200);
    assert!(server.admin("/readyz").text().contains("complete"));
}

#[test]
fn the_store_holds_nothing_that_could_be_read() {
    // F14
    let Some(fleet) = Fleet::start("open") else {
        return;
    };
    let bff = &fleet.bff;
    let mut browser = bff.signed_in();
    bff.clock.advance(Duration::from_secs(290));
    assert_eq!(browser.fetch("GET", "/api/echo/x").status, 200);
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    eventually("a result and a revocation", || {
        let all = fleet.store.everything();
        ["story:result:", "story:revocations"]
            .iter()
            .all(|name| all.contains(name))
            .then_some(())
    });
    let all = fleet.store.everything();
    let mut secrets = bff.idp.minted();
    secrets.extend(bff.idp.minted_of(Secret::Code));
    assert!(secrets.len() > 4);
    for secret in secrets {
        assert!(!all.contains(&secret), "the store holds {secret}");
    }
    for word in ["alice", "shop", bff.idp.issuer()] {
        assert!(!all.contains(word), "the store tells {word}");
    }
}

#[test]
fn a_store_that_is_killed_stops_nobody_when_on_failure_is_open() {
    // G14
    let Some(mut fleet) = Fleet::start("open") else {
        return;
    };
    let (mut browser, friend) = (fleet.bff.signed_in(), fleet.bff.signed_in());
    let (copied, others) = (cookies(&browser), cookies(&friend));
    fleet.store.kill();
    fleet.eventually_up(0);
    for (replica, _) in fleet.replicas() {
        assert_eq!(ask(replica, &others).status, 200);
    }
    // A logout ends the session here at once, and there when the store is back.
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    assert_eq!(ask(fleet.bff.addr, &copied).status, 401);
    assert_eq!(ask(fleet.other.addr, &copied).status, 200);
    fleet.store.start_again();
    fleet.eventually_up(1);
    eventually_refused(fleet.other.addr, &copied);
    // A refresh goes on without it.
    fleet.store.kill();
    fleet.eventually_up(0);
    fleet.bff.clock.advance(Duration::from_secs(290));
    assert_eq!(ask(fleet.other.addr, &others).status, 200);
    assert_eq!(fleet.bff.token_calls("refresh_token"), 1);
}

#[test]
fn a_store_that_is_killed_stops_sessions_when_on_failure_is_closed() {
    // G14
    let Some(mut fleet) = Fleet::start("closed") else {
        return;
    };
    let cookies = cookies(&fleet.bff.signed_in());
    fleet.store.kill();
    for (replica, _) in fleet.replicas() {
        eventually("the refusal", || {
            let answer = ask(replica, &cookies);
            (answer.status == 503).then(|| {
                assert_eq!(answer.problem(), "identity-provider-unavailable");
                assert!(answer.headers("set-cookie").is_empty(), "it may come back");
            })
        });
    }
    fleet.store.start_again();
    for (replica, _) in fleet.replicas() {
        eventually("the session", || {
            (ask(replica, &cookies).status == 200).then_some(())
        });
    }
}

#[test]
fn a_key_directory_that_hangs_holds_up_neither_the_feed_nor_signals() {
    let Some(store) = Store::start() else {
        return;
    };
    let section = "[coordination]\nurl = { file = \"store.url\" }";
    let site = Site::with(crate::support::ORIGIN, "", section);
    site.place.write("store.url", &store.url());
    let slow = SlowDirectory::new(&site.place);
    let ahead = site.serve();
    let behind = site.serve_as(|command| slow.give_to(command));
    let mut browser = site.signed_in(&ahead);
    let copied = browser.api_cookie_line("/api/x");
    let friend = site.signed_in(&ahead);
    let others = friend.api_cookie_line("/api/x");
    for server in [&ahead, &behind] {
        eventually("the feed", || feed_of(server.admin).then_some(()));
    }
    // The revocation is sealed with a key that the replica behind has not read, and cannot read now.
    site.place.rotate(&["--now"]);
    ahead.reload("ok");
    slow.hang();
    assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
    let unknown = "sealgate_coordination_feed_total{result=\"unknown-key\"}";
    eventually("the entry", || (behind.metric(unknown) > 0).then_some(()));
    behind.process.signal("HUP");
    behind
        .process
        .wait_for_log("SIGHUP: looking at the key directory");
    assert_eq!(ask(behind.addr, &others).status, 200);
    // A revocation that comes meanwhile under a key that it has is heard.
    assert_eq!(ask(behind.addr, &copied).status, 200, "not yet");
    slow.answer();
    eventually_refused(behind.addr, &copied);
}

#[test]
fn a_copy_from_before_the_session_was_bound_is_refused_at_every_replica() {
    let Some(fleet) = Fleet::with("open", "device_binding = \"preferred\"") else {
        return;
    };
    let bff = &fleet.bff;
    let mut browser = bff.signed_in();
    let challenge = offered(&browser.fetch("GET", "/bff/session")).unwrap();
    let copy = |from: &Browser| {
        let mut copy = bff.browser();
        copy.jar.clone_from(&from.jar);
        copy
    };
    let (mut early, mut elsewhere) = (copy(&browser), copy(&browser));
    elsewhere.resolve("shop.test", fleet.other.addr);
    let mut device = Device::new();
    assert_eq!(device.register(&mut browser, &challenge).status, 200);
    // Requests that were under way are served.
    assert_eq!(early.fetch("GET", "/api/echo").status, 200);
    bff.clock.advance(Duration::from_secs(3));
    for copy in [&mut early, &mut elsewhere] {
        eventually("the announcement", || {
            let answer = copy.fetch("GET", "/api/echo");
            (answer.status == 401).then(|| assert_eq!(answer.problem(), "device-proof-required"))
        });
        assert_eq!(
            copy.fetch("GET", "/bff/user").problem(),
            "device-proof-required"
        );
        let refused = Device::new().register(copy, &challenge);
        assert_eq!(refused.problem(), "bad-request", "it takes one key");
    }
    for addr in [bff.addr, fleet.other.addr] {
        browser.resolve("shop.test", addr);
        assert_eq!(browser.fetch("GET", "/api/echo").status, 200);
        assert_eq!(device.prove(&mut browser).status, 200);
    }
}
