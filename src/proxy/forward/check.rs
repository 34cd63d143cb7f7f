//! What is never forwarded, whatever the route.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{EXPECT, UPGRADE};

use crate::frontend::Route;
use crate::problem::Problem;

/// Refuses what is never forwarded.
pub(super) fn check(request: &HttpRequest, route: &Route, has_token: bool) -> Result<(), Problem> {
    if asks_for_websocket(request) && !route.websocket {
        return Err(Problem::BadRequest("this route takes no upgrade"));
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        // TRACE would echo the token (RFC 9110 §9.3.8).
        return Err(Problem::BadRequest("CONNECT and TRACE are not forwarded"));
    }
    // The server has answered `100-continue` itself. Nobody here could keep any other promise.
    let mut expectations = request.headers().get_all(EXPECT);
    if !expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::ExpectationFailed);
    }
    // RFC 9700 §4.3.2: tokens do not travel in URLs. This one would also contradict ours.
    let query = request.uri().query().unwrap_or_default();
    let mut names = url::form_urlencoded::parse(query.as_bytes()).map(|pair| pair.0);
    if has_token && names.any(|name| name == "access_token") {
        return Err(Problem::BadRequest(
            "no access_token in the query: this route adds its own",
        ));
    }
    Ok(())
}

/// Whether a request names `websocket` in `Upgrade`. Other protocols are ignored, as RFC 9110 §7.8 allows.
pub(super) fn asks_for_websocket(request: &HttpRequest) -> bool {
    request.headers().get_all(UPGRADE).any(|value| {
        let mut protocols = value.as_bytes().split(|b| *b == b',');
        protocols.any(|protocol| {
            let name = protocol.trim_ascii().get(..9);
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::testing::route;
    use actix_web::test::TestRequest;

    #[test]
    fn an_access_token_in_the_query_is_refused_where_we_send_one() {
        // D12
        for (query, refused) in [
            ("access_token=x", true),
            ("a=1&access%5Ftoken=x", true),
            ("access_token", true),
            ("a=access_token", false),
            ("my_access_token=x", false),
        ] {
            let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
            assert_eq!(
                check(&request, &route("/"), true).is_err(),
                refused,
                "{query}"
            );
            assert!(check(&request, &route("/"), false).is_ok(), "{query}");
        }
    }

    #[test]
    fn only_websocket_upgrades_are_refused_where_none_is_taken() {
        // D8
        for (value, refused) in [
            ("websocket", true),
            ("WebSocket", true),
            ("h2c, websocket", true),
            ("websocket/13", true),
            ("h2c", false),
            ("web", false),
        ] {
            let request = TestRequest::get().insert_header((UPGRADE, value));
            let request = request.to_http_request();
            let mut route = route("/");
            let outcome = check(&request, &route, false);
            assert_eq!(outcome.is_err(), refused, "{value}");
            route.websocket = true;
            assert!(check(&request, &route, false).is_ok(), "{value}");
        }
    }
}
