//! Connections are shared between users; answers are not.

use std::rc::Rc;
use std::time::Duration;

use actix_web::rt::time::{sleep, timeout};
use futures_util::future::join_all;

use super::{Log, OK};
use crate::proxy::testing::{RawUpstream, Setup, Talk};

fn who(head: &str) -> String {
    let line = head.lines().find(|line| line.starts_with("x-who: "));
    line.unwrap().replace("x-who: ", "")
}

#[actix_web::test]
async fn a_1xx_is_skipped_and_everybody_gets_their_own_answer() {
    // D32: awc hands Alice's answer to Bob here.
    let upstream = RawUpstream::start(|mut talk, _| async move {
        while let Some(head) = talk.head().await {
            let name = who(&head);
            let len = name.len();
            talk.say("HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n")
                .await;
            sleep(Duration::from_millis(20)).await;
            talk.say("HTTP/1.1 102 Processing\r\n\r\n").await;
            talk.say(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{name}"
            ))
            .await;
        }
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    for name in ["alice", "bob", "carol"] {
        let answer = Talk::ask(
            front.addr,
            &format!("GET /api/orders HTTP/1.1\r\nX-Who: {name}"),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{name}")),
            "{name} got {answer}"
        );
    }
    assert_eq!(upstream.connections(), 1, "the connection was pooled");
    front.stop().await;
}

/// Answers the first request of the first connection, and dies when it sees the second.
async fn stale_upstream(heard: Log) -> RawUpstream {
    RawUpstream::start(move |mut talk, number| {
        let heard = Rc::clone(&heard);
        async move {
            while let Some(head) = talk.head().await {
                let line = head.lines().next().unwrap().to_owned();
                let first = heard.borrow().is_empty();
                heard.borrow_mut().push(line);
                if number == 0 && !first {
                    return;
                }
                talk.say(OK).await;
            }
        }
    })
    .await
}

#[actix_web::test]
async fn a_stale_connection_costs_a_bodiless_idempotent_request_nothing() {
    // D20
    let heard = Log::default();
    let upstream = stale_upstream(Rc::clone(&heard)).await;
    let front = Setup::to(upstream.addr).start();
    for _ in 0..2 {
        let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
        assert!(answer.ends_with("ok"), "{answer}");
    }
    assert_eq!(heard.borrow().len(), 3, "one request was sent twice");
    front.stop().await;
}

#[actix_web::test]
async fn nothing_else_is_ever_sent_twice() {
    // D20
    for second in [
        "POST /api/orders HTTP/1.1",
        "PUT /api/orders HTTP/1.1\r\nContent-Length: 1\r\nX: y",
    ] {
        let heard = Log::default();
        let upstream = stale_upstream(Rc::clone(&heard)).await;
        let front = Setup::to(upstream.addr).start();
        Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
        let mut client = Talk::to(front.addr).await;
        client
            .say(&format!(
                "{second}\r\nHost: x\r\nConnection: close\r\n\r\nz"
            ))
            .await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert_eq!(heard.borrow().len(), 2, "{second}");
        front.stop().await;
    }
}

#[actix_web::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    // D20
    let heard = Log::default();
    let log = Rc::clone(&heard);
    let upstream = RawUpstream::start(move |mut talk, _| {
        let heard = Rc::clone(&log);
        async move {
            while let Some(head) = talk.head().await {
                heard.borrow_mut().push(head);
                if heard.borrow().len() > 1 {
                    talk.say("HTTP/1.1 200 O").await;
                    return;
                }
                talk.say(OK).await;
            }
        }
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
    let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(heard.borrow().len(), 2);
    front.stop().await;
}

#[actix_web::test]
async fn streams_do_not_wait_for_each_other() {
    // D31: awc allows 100 open streams for each worker.
    let upstream = RawUpstream::start(|mut talk, _| async move {
        talk.head().await;
        talk.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            .await;
        sleep(Duration::from_millis(300)).await;
        talk.say("data: 2\n\n").await;
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    let addr = front.addr;
    let streams = (0..120).map(|_| async move {
        let mut client = Talk::to(addr).await;
        client
            .say("GET /api/orders HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        (
            client.until("data: 1\n\n").await.unwrap(),
            client.until("data: 2\n\n").await.unwrap(),
        )
    });
    let events = timeout(Duration::from_secs(5), join_all(streams))
        .await
        .expect("in time");
    assert!(
        events
            .iter()
            .all(|(head, _)| head.contains("text/event-stream"))
    );
    assert_eq!(upstream.connections(), 120);
    front.stop().await;
}

#[actix_web::test]
async fn bytes_beyond_an_answer_never_become_another() {
    // D30
    let upstream = RawUpstream::start(|mut talk, number| async move {
        while talk.head().await.is_some() {
            talk.say(OK).await;
            if number == 0 {
                talk.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
                    .await;
            }
        }
    })
    .await;
    let front = Setup::to(upstream.addr).start();
    for _ in 0..3 {
        let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
        assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(upstream.connections(), 2);
    front.stop().await;
}

#[actix_web::test]
async fn a_refused_handshake_leaves_no_connection_for_others() {
    let upstream = RawUpstream::start(|mut talk, _| async move {
        while let Some(head) = talk.head().await {
            if head.contains("websocket") {
                talk.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                    .await;
            } else {
                talk.say(OK).await;
            }
        }
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.forward().websocket = true;
    let front = setup.start();
    for count in [1, 2] {
        let mut client = Talk::to(front.addr).await;
        client
            .say("GET /api/orders HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            .await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert_eq!(upstream.connections(), count);
    }
    let answer = Talk::ask(front.addr, "GET /api/orders HTTP/1.1").await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(upstream.connections(), 3);
    front.stop().await;
}

#[actix_web::test]
async fn a_request_that_came_back_is_refused_although_all_places_are_taken() {
    // D17
    let upstream = RawUpstream::start(|mut talk, _| async move {
        talk.rest().await;
    })
    .await;
    let mut setup = Setup::to(upstream.addr);
    setup.settings.max_connections = 1;
    let front = setup.start();
    let mut first = Talk::to(front.addr).await;
    first
        .say("GET /api/orders HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    while upstream.connections() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let again = Talk::ask(front.addr, "GET /api/orders HTTP/1.1\r\nVia: 1.1 sealgate");
    let answer = timeout(Duration::from_secs(2), again).await;
    let answer = answer.expect("at once");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    front.stop().await;
}
