//! The host that a request names.

use http::header;

use crate::bff::Bff;
use crate::message::Request;
use crate::names::Authority;
use crate::problem::Problem;

/// The one `Host` of the request (RFC 9112 §3.2). An absolute-form target must agree with it (RFC 9112 §3.2.2).
pub(super) fn of(request: &Request) -> Result<&str, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts
        .next()
        .and_then(|host| host.to_str().ok())
        .filter(|_| hosts.next().is_none())
        .ok_or(Problem::BadRequest(
            "exactly one valid Host header is needed",
        ))?;
    // An absolute-form target names this server, and this server speaks for no other protocol.
    if !matches!(request.uri().scheme_str(), None | Some("http" | "https")) {
        return Err(Problem::BadRequest(
            "the request target is not an http or https URL",
        ));
    }
    match request.uri().authority() {
        Some(authority) if authority.as_str() != host => Err(Problem::BadRequest(
            "the request target and the Host header disagree",
        )),
        _ => Ok(host),
    }
}

/// Warns, once for each host, that no frontend has it. Nearly always a proxy in front rewrites `Host`, and nothing else
/// would say so.
pub(super) fn warn_of_unknown(host: &str, bff: &Bff) {
    let Some(host) = Authority::parse(host) else {
        return;
    };
    if bff
        .unknown_hosts
        .is_due_about(host.as_str(), bff.clock.now())
    {
        log::warn!(host = host.as_str(); "a request for a host that no frontend has: if a proxy in front writes Host anew, let \
            it pass on what the browser sent, or else correct the frontend's origin");
    }
}
