//! Bodies arrive whole, or visibly not.

use std::rc::Rc;
use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};

use super::{Log, OK};
use crate::proxy::testing::{RawUpstream, Setup, Talk};

#[actix_web::test]
async fn a_body_that_breaks_off_is_not_completed() {
    // D30, D31
    for (head, body) in [
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
        ("Content-Length: 100", "hello"),
    ] {
        let upstream = RawUpstream::start(move |mut talk, _| async move {
            talk.head().await;
            talk.say(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"))
                .await;
            sleep(Duration::from_millis(50)).await;
        })
        .await;
        let front = Setup::to(upstream.addr).start();
        let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
        assert!(answer.contains("200 OK"), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        assert!(
            answer.to_lowercase().contains(&head.to_lowercase()),
            "the client can see that something is missing: {answer}"
        );
        front.stop().await;
    }
}

#[actix_web::test]
async fn an_answer_before_the_end_of_the_body_reaches_the_client() {
    for (framing, close) in [
        ("Content-Length: 500000", true),
        ("Transfer-Encoding: chunked", false),
    ] {
        let upstream = RawUpstream::start(move |mut talk, _| async move {
            talk.head().await;
            talk.say("HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo big")
                .await;
            if close {
                return;
            }
            sleep(Duration::from_secs(5)).await;
        })
        .await;
        let front = Setup::to(upstream.addr).start();
        let mut client = Talk::to(front.addr).await;
        client
            .say(&format!(
                "POST /api/orders HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n5\r\nhello\r\n"
            ))
            .await;
        let answer = timeout(Duration::from_secs(2), client.until("too big")).await;
        let answer = answer.expect("in time").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing}: {answer}");
        front.stop().await;
    }
}

#[actix_web::test]
async fn a_body_arrives_as_it_was_sent_and_framed_anew() {
    // D7
    let heard = Log::default();
    let log = Rc::clone(&heard);
    let upstream = RawUpstream::start(move |mut talk, _| {
        let heard = Rc::clone(&log);
        async move {
            while let Some(head) = talk.head().await {
                let body = talk.until("end").await.unwrap();
                if head.contains("transfer-encoding") {
                    talk.until("\r\n0\r\n\r\n").await.unwrap();
                }
                heard.borrow_mut().push(head + &body);
                talk.say(OK).await;
            }
        }
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    for method in ["POST", "PUT", "DELETE", "GET"] {
        for (framing, body, expect) in [
            (
                "Content-Length: 6",
                "abcend",
                ("content-length: 6\r\n", "\r\n\r\nabcend"),
            ),
            (
                "Transfer-Encoding: chunked",
                "6;x=y\r\nabcend\r\n0\r\nX-Trailer: 1\r\n\r\n",
                ("transfer-encoding: chunked\r\n", "\r\n\r\n6\r\nabcend"),
            ),
        ] {
            let mut client = Talk::to(front.addr).await;
            let head = format!("{method} /api/orders HTTP/1.1\r\nHost: x\r\nConnection: close");
            client
                .say(&format!("{head}\r\n{framing}\r\n\r\n{body}"))
                .await;
            let answer = client.rest().await;
            assert!(answer.ends_with("ok"), "{method} {framing}: {answer}");
            let request = heard.borrow_mut().pop().unwrap();
            assert!(request.contains(expect.0), "{method} {framing}: {request}");
            assert!(request.ends_with(expect.1), "{method} {framing}: {request}");
        }
    }
    assert_eq!(
        upstream.connections(),
        1,
        "framing was right, so the connection was kept"
    );
    front.stop().await;
}

#[actix_web::test]
async fn a_body_over_the_limit_is_refused_and_never_completed() {
    // D19
    let heard = Log::default();
    let log = Rc::clone(&heard);
    let upstream = RawUpstream::start(move |mut talk, _| {
        let heard = Rc::clone(&log);
        async move {
            let all = talk.rest().await;
            heard.borrow_mut().push(all);
        }
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.forward().body_limit = 8;
    let front = setup.start();
    let head = "POST /api/orders HTTP/1.1\r\nHost: x\r\n";

    let mut client = Talk::to(front.addr).await;
    client
        .say(&format!("{head}Content-Length: 9\r\n\r\n"))
        .await;
    let answer = client.until("body-too-large").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(
        upstream.connections(),
        0,
        "nothing was sent for a length that is over the limit"
    );

    let mut client = Talk::to(front.addr).await;
    client
        .say(&format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        ))
        .await;
    sleep(Duration::from_millis(100)).await;
    client.say("5\r\nworld\r\n0\r\n\r\n").await;
    let answer = client.until("body-too-large").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    sleep(Duration::from_millis(100)).await;
    let request = heard
        .borrow_mut()
        .pop()
        .expect("the upstream's connection has ended");
    assert!(
        request.contains("hello") && !request.contains("world"),
        "{request}"
    );
    assert!(!request.ends_with("0\r\n\r\n"), "{request}");
    front.stop().await;
}

#[actix_web::test]
async fn a_slow_upstream_slows_the_client_down() {
    // D19, T7: what neither side's socket holds is not held in between.
    const MANY: usize = 256 << 20;
    let upstream = RawUpstream::start(|talk, _| async move {
        sleep(Duration::from_secs(5)).await;
        drop(talk);
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.forward().body_limit = u64::MAX;
    let front = setup.start();
    let mut client = Talk::to(front.addr).await;
    client
        .say(&format!(
            "POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: {MANY}\r\n\r\n"
        ))
        .await;
    let taken = client.flood(MANY).await;
    assert!(taken < 32 << 20, "{taken}");
    front.stop().await;
}

#[actix_web::test]
async fn a_client_that_leaves_ends_the_request_to_the_upstream() {
    // D31
    for (request, answer) in [
        ("GET /api/orders HTTP/1.1\r\n", ""),
        (
            "GET /api/orders HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n",
        ),
        ("POST /api/orders HTTP/1.1\r\nContent-Length: 10\r\n", ""),
    ] {
        let heard = Log::default();
        let log = Rc::clone(&heard);
        let upstream = RawUpstream::start(move |mut talk, _| {
            let heard = Rc::clone(&log);
            async move {
                let head = talk.head().await.unwrap();
                heard.borrow_mut().push(head);
                talk.say(answer).await;
                talk.rest().await;
                heard.borrow_mut().push("gone".to_owned());
            }
        })
        .await;
        let front = Setup::to(upstream.addr).start();
        let mut client = Talk::to(front.addr).await;
        // The upstream is asked when the first of a body is there.
        let begun = if request.starts_with("POST") { "x" } else { "" };
        client
            .say(&format!("{request}Host: x\r\n\r\n{begun}"))
            .await;
        if !answer.is_empty() {
            client.until("data: 1").await.unwrap();
        }
        while heard.borrow().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        drop(client);
        sleep(Duration::from_millis(500)).await;
        assert_eq!(heard.borrow().len(), 2, "{request} {answer}");
        front.stop().await;
    }
}

#[actix_web::test]
async fn silence_in_the_middle_is_cut_in_both_directions() {
    // D19, D42
    let upstream = RawUpstream::start(|mut talk, _| async move {
        let head = talk.head().await.unwrap();
        if head.starts_with("GET") {
            talk.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
                .await;
        }
        talk.rest().await;
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.settings.idle_timeout = Duration::from_millis(100);
    let front = setup.start();
    let mut client = Talk::to(front.addr).await;
    client
        .say("GET /api/orders HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let answer = timeout(Duration::from_secs(2), client.rest())
        .await
        .expect("in time");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");

    let mut client = Talk::to(front.addr).await;
    client
        .say("POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhello")
        .await;
    let answer = timeout(Duration::from_secs(2), client.until("bad-request"))
        .await
        .expect("in time");
    assert!(answer.unwrap().starts_with("HTTP/1.1 408 "));
    front.stop().await;
}

#[actix_web::test]
async fn an_upload_that_is_cut_after_the_answer_began_is_not_completed() {
    // D7, D19: the limit is passed, or the answer ends, while both bodies are on their way.
    for (answer, more) in [
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "5\r\nworld\r\n",
        ),
        ("Content-Length: 2\r\n\r\nok", ""),
    ] {
        let heard = Log::default();
        let log = Rc::clone(&heard);
        let upstream = RawUpstream::start(move |mut talk, _| {
            let heard = Rc::clone(&log);
            async move {
                talk.until("hello\r\n").await;
                talk.say(&format!("HTTP/1.1 200 OK\r\n{answer}")).await;
                let rest = talk.rest().await;
                heard.borrow_mut().push(rest);
            }
        })
        .await;
        let mut setup = Setup::to(upstream.addr);
        setup.forward().body_limit = 8;
        let front = setup.start();
        let mut client = Talk::to(front.addr).await;
        let head = "POST /api/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked";
        client.say(&format!("{head}\r\n\r\n5\r\nhello\r\n")).await;
        client.until("ok").await.unwrap();
        client.say(more).await;
        sleep(Duration::from_millis(500)).await;
        let rest = heard
            .borrow_mut()
            .pop()
            .expect("the upstream's connection has ended");
        assert_eq!(rest, "", "{answer}");
        if more.is_empty() {
            // That the client's connection ends then too is the server's business: tests/it/streams.rs.
            front.stop().await;
            continue;
        }
        let rest = client.rest().await;
        assert!(!rest.contains("0\r\n\r\n"), "{rest}");
        front.stop().await;
    }
}
