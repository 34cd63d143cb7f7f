//! What clients and broken neighbours cause is no error in the log, and is not said again and again.

use crate::support::upstream::RawUpstream;
use crate::support::{ORIGIN, Request, Site};

/// Requests of each kind.
const MANY: usize = 40;

#[test]
fn what_anybody_can_cause_is_no_error_and_is_counted() {
    // P: 82,709 lines in a minute, each an ERROR
    let upstream = RawUpstream::start(|mut talk| {
        if talk.head().is_some() {
            talk.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        }
    });
    let tables = format!(
        r#"
[upstream.half]
url = "http://{}"
[upstream.gone]
url = "http://127.0.0.1:1"
[frontend.shop.route.half]
path = "/half"
upstream = "half"
token = "none"
[frontend.shop.route.gone]
path = "/gone"
upstream = "gone"
token = "none"
"#,
        upstream.addr
    );
    let site = Site::with(ORIGIN, "", &tables);
    let mut server = site.serve_as(|command| {
        command.env("RUST_LOG", "info");
    });
    // Somebody signs in: the tokens are what a search for secrets looks for.
    site.signed_in(&server);
    for _ in 0..MANY {
        for (path, origin) in [
            ("/half", ORIGIN),
            ("/gone", ORIGIN),
            ("/half", "https://evil.test"),
        ] {
            let request = Request::new("GET", path)
                .header("host", "shop.test")
                .header("x-csrf", "1")
                .header("origin", origin);
            request.exchange(server.addr);
        }
    }
    server.process.signal("TERM");
    let log = server.process.outcome().stderr;
    assert!(!log.contains(" ERROR "), "{log}");
    for words in ["broke off", "upstream gone: ", "code=cross-site-request"] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(words)).collect();
        assert!(lines.len() < 10, "{words}: {lines:#?}");
        let more = format!("(… {} more of these in the last 10 s)", MANY - 3);
        let counted = lines.iter().filter(|line| line.contains(&more));
        assert_eq!(counted.count(), 1, "{words}: {lines:#?}");
    }
}
