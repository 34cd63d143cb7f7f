//! What `/metrics` says while things happen.

use std::sync::{Mutex, mpsc};

use sealgate::demo::idp::{AuthorizationFault, Fault, IdTokenFault, TokenFault};

use crate::support::process::eventually;
use crate::support::upstream::RawUpstream;
use crate::support::{Initiator, Request, TestBff};

fn failed(bff: &TestBff, reason: &str) -> u64 {
    bff.metric(&format!(
        "sealgate_logins_total{{frontend=\"shop\",result=\"failed\",reason=\"{reason}\"}}"
    ))
}

const REASONS: [&str; 6] = [
    "denied",
    "provider",
    "rate",
    "size",
    "state",
    "verification",
];

#[test]
fn a_failed_login_counts_by_its_reason() {
    let faults: [(&str, Option<Fault>); 5] = [
        ("denied", Some(AuthorizationFault::AccessDenied.into())),
        (
            "provider",
            Some(AuthorizationFault::Error("server_error").into()),
        ),
        ("provider", Some(TokenFault::DropConnection.into())),
        ("verification", Some(IdTokenFault::BadSignature.into())),
        ("size", None),
    ];
    for (reason, fault) in faults {
        let bff = TestBff::spawn();
        for reason in REASONS {
            assert_eq!(failed(&bff, reason), 0);
        }
        match fault.clone() {
            Some(fault) => bff.idp.faults().inject(1, fault),
            None => bff.idp.faults().pad_tokens(40 * 1024),
        }
        bff.log_in(&mut bff.browser(), "/bff/login");
        for other in REASONS {
            let expect = u64::from(other == reason);
            assert_eq!(failed(&bff, other), expect, "{other} for {fault:?}");
        }
    }
    let bff = TestBff::with(|setup| {
        setup.frontend = "login_rate_limit = { per_second = 0.01, burst = 3 }".to_owned();
    });
    let mut browser = bff.signed_in();
    let stray = browser.navigate("/bff/callback?state=x&code=y", Initiator::CrossSite);
    assert_eq!(stray.response.status, 400);
    assert_eq!(failed(&bff, "state"), 1);
    let begun = browser.navigate("/bff/login", Initiator::SameOrigin);
    assert_eq!(begun.response.status, 429);
    assert_eq!(failed(&bff, "rate"), 1);
}

#[test]
fn what_is_open_counts_until_it_ends() {
    let (end, ended) = mpsc::channel::<()>();
    let ended = Mutex::new(ended);
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
            talk.say("9\r\ndata: 1\n\n\r\n");
            if ended.lock().unwrap().recv().is_ok() {
                talk.say("0\r\n\r\n");
                let _ = talk.head();
            }
        }
    });
    let tables = upstream.route("").replace("idle_timeout = \"2s\"", "");
    let bff = TestBff::with(|setup| setup.tables = tables);
    let browser = bff.signed_in();
    let events = Request::new("GET", "/raw")
        .header("host", "shop.test")
        .header("x-csrf", "1")
        .header("cookie", &browser.api_cookie_line("/raw"));
    let stream = events.begin(bff.addr);
    let streams = "sealgate_streams{kind=\"sse\"}";
    let connections = |state: &str| {
        bff.metric(&format!(
            "sealgate_upstream_connections{{upstream=\"raw\",state=\"{state}\"}}"
        ))
    };
    let open = || {
        (
            bff.metric(streams),
            connections("active"),
            bff.metric("sealgate_connections"),
        )
    };
    eventually("a stream", || (open() == (1, 1, 1)).then_some(()));
    assert_eq!(connections("idle"), 0);
    end.send(()).unwrap();
    eventually("an idle connection", || {
        ((
            bff.metric(streams),
            connections("active"),
            connections("idle"),
        ) == (0, 0, 1))
            .then_some(())
    });
    drop(stream);
    eventually("no connection", || {
        (bff.metric("sealgate_connections") == 0).then_some(())
    });
    eventually("no idle connection", || {
        (connections("idle") == 0).then_some(())
    });
}

#[test]
fn calls_to_the_provider_count_by_what_came_of_them() {
    let bff = TestBff::spawn();
    let calls = |call: &str, result: &str| {
        bff.metric(&format!(
            "sealgate_provider_total{{frontend=\"shop\",call=\"{call}\",result=\"{result}\"}}"
        ))
    };
    bff.signed_in();
    for call in ["discovery", "jwks", "token"] {
        assert_eq!(calls(call, "ok"), 1, "{call}");
        let times = format!("sealgate_provider_seconds_count{{frontend=\"shop\",call=\"{call}\"}}");
        assert_eq!(bff.metric(&times), 1, "{call}");
    }
    assert_eq!(
        (calls("token", "refused"), calls("token", "unavailable")),
        (0, 0)
    );
    bff.idp.faults().inject(1, TokenFault::InvalidGrant);
    bff.log_in(&mut bff.browser(), "/bff/login");
    bff.idp.faults().inject(1, TokenFault::DropConnection);
    bff.log_in(&mut bff.browser(), "/bff/login");
    assert_eq!(
        (calls("token", "refused"), calls("token", "unavailable")),
        (1, 1)
    );
    assert_eq!(calls("token", "ok"), 1);
}
