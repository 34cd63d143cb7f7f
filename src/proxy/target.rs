//! Whether a request may be forwarded, and to which URL.
//!
//! `forward` asks before anything else. The URL is the upstream's own, its [`Base`]; of the request only the path below the
//! route and the query get into it.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{EXPECT, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

use crate::frontend::Route;
use crate::names::RequestPath;
use crate::problem::Problem;

/// Refuses what is never forwarded.
pub(super) fn check(request: &HttpRequest, route: &Route, has_token: bool) -> Result<(), Problem> {
    if asks_for_websocket(request) && !route.websocket {
        return Err(Problem::BadRequest("this route takes no upgrade"));
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        // D10; nor would the token be safe in what TRACE echoes (RFC 9110 §9.3.8).
        return Err(Problem::BadRequest("CONNECT and TRACE are not forwarded"));
    }
    // The server has answered `100-continue` itself; anything else nobody here could promise (D18).
    let mut expectations = request.headers().get_all(EXPECT);
    if !expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::ExpectationFailed);
    }
    // RFC 9700 §4.3.2: tokens do not travel in URLs; and this one would contradict ours (D12).
    let query = request.uri().query().unwrap_or_default();
    let mut names = url::form_urlencoded::parse(query.as_bytes()).map(|pair| pair.0);
    if has_token && names.any(|name| name == "access_token") {
        return Err(Problem::BadRequest(
            "no access_token in the query: this route adds its own",
        ));
    }
    Ok(())
}

/// What every request to an upstream begins with.
pub(super) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end.
    path: String,
    /// `Host`: the authority without what it says of users.
    pub(super) host: HeaderValue,
}

impl Base {
    /// Takes the upstream's URL apart; an error if HTTP cannot name it.
    pub(super) fn of(url: &Url) -> Result<Self, http::Error> {
        let authority = url.authority();
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        Ok(Self {
            scheme: url.scheme().parse()?,
            authority: authority.parse()?,
            path: url.path().trim_end_matches('/').to_owned(),
            host: HeaderValue::from_str(authority)?,
        })
    }
}

/// The upstream's origin and prefix, then the raw path below the route, then the raw query (A18, D11, D12).
pub(super) fn uri(request: &HttpRequest, route: &Route, base: &Base) -> Result<Uri, Problem> {
    const BAD: Problem = Problem::BadRequest("the path is not in its plainest form");
    let path = RequestPath::parse(request.uri().path()).map_err(|_| BAD)?;
    let below = route.upstream_path(path);
    let query = request.uri().query();
    let room = base.path.len() + below.len() + query.map_or(1, |query| query.len() + 2);
    let mut target = String::with_capacity(room);
    target.push_str(&base.path);
    target.push_str(below);
    if target.is_empty() {
        target.push('/');
    }
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    Uri::builder()
        .scheme(base.scheme.clone())
        .authority(base.authority.clone())
        .path_and_query(target)
        .build()
        .map_err(|_| BAD)
}

/// Whether a request names `websocket` in `Upgrade`. Other protocols may be ignored (RFC 9110 §7.8), and are.
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

    fn base_of(url: &str) -> Base {
        Base::of(&Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn only_path_and_query_come_from_the_request() {
        // A18, A19, D11, D12
        for (base, asked, expect) in [
            ("http://o:1/v1", "/api/orders/7?x=1", "http://o:1/v1/7?x=1"),
            ("http://o:1/v1", "/api/orders", "http://o:1/v1"),
            ("http://o:1/v1/", "/api/orders/", "http://o:1/v1/"),
            ("http://o:1", "/api/orders", "http://o:1/"),
            ("http://o:1", "/api/orders?", "http://o:1/?"),
            (
                "https://o",
                "/api/orders/@evil.test",
                "https://o/@evil.test",
            ),
            ("https://u:p@o", "/api/orders/a", "https://o/a"),
            (
                "http://[::1]:8",
                "http://evil.test/api/orders/a",
                "http://[::1]:8/a",
            ),
        ] {
            let request = TestRequest::with_uri(asked).to_http_request();
            let base = base_of(base);
            let uri = uri(&request, &route("/api/orders"), &base).unwrap();
            assert_eq!(uri.to_string(), expect, "{asked}");
            assert_eq!(uri.authority().unwrap().as_str(), base.host);
        }
        let mut whole = route("/api/orders");
        whole.strip_prefix = false;
        let request = TestRequest::with_uri("/api/orders/7").to_http_request();
        let uri = uri(&request, &whole, &base_of("http://o/v1")).unwrap();
        assert_eq!(uri.to_string(), "http://o/v1/api/orders/7");
    }

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
