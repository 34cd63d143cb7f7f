//! What is never forwarded, whatever the route.

use http::Method;
use http::header::EXPECT;

use crate::message::Request;
use crate::problem::Problem;
use crate::proxy::headers::request::check_loop;

/// Refuses what is never forwarded.
pub(super) fn check(request: &Request, has_token: bool) -> Result<(), Problem> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        // TRACE would echo the token (RFC 9110 §9.3.8).
        return Err(Problem::BadRequest("CONNECT and TRACE are not forwarded"));
    }
    // The server has answered `100-continue` itself. Nobody here could keep any other promise.
    let mut expectations = request.headers().get_all(EXPECT).iter();
    if !expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::ExpectationFailed);
    }
    check_loop(request.headers())?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let request = http::Request::get(format!("/?{query}")).into();
            assert_eq!(check(&request, true).is_err(), refused, "{query}");
            assert!(check(&request, false).is_ok(), "{query}");
        }
    }
}
