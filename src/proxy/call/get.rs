//! For whom upstreams are called, and the call that does not mirror the client's request.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;

use super::{Answer, Call, Called, Told, Upstream, Upstreams};
use crate::message::Request;
use crate::names::{Origin, UpstreamName};
use crate::problem::Problem;
use crate::proxy::headers::request::{UpstreamHeaders, check_loop};
use crate::token::Permit;

/// The client's headers that a [`get`](Proxy::get) reads. Of the cookies it carries those that the caller allows.
/// `Connection` says which headers do not pass, and `Via` grows.
const CARRIED: [&str; 5] = ["accept-language", "baggage", "connection", "cookie", "via"];

/// Calls upstreams on behalf of one client's request.
#[derive(Clone, Copy, Debug)]
pub struct Proxy<'a> {
    /// The upstreams of this worker.
    pub upstreams: &'a Upstreams,
    /// The request as it came.
    pub request: &'a Request,
    /// The client's address.
    pub client: IpAddr,
    /// The frontend's origin.
    pub origin: &'a Origin,
    /// The frontend's CSRF header, in lower case.
    pub csrf_header: &'a str,
}

/// What a [`Proxy::get`] asks for.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Which upstream.
    pub upstream: &'a UpstreamName,
    /// Below the upstream's own prefix: empty, or beginning with a slash. It goes out as it is, so the caller must refuse
    /// segments such as `..`.
    pub path: &'a str,
    /// Without its question mark.
    pub query: Option<&'a str>,
    /// Names of the client's cookies that the upstream gets.
    pub cookies: &'a [String],
    /// Time until the answer's head, if it is not the upstream's own.
    pub timeout: Option<Duration>,
}

impl Proxy<'_> {
    /// Asks one upstream by a GET that carries what a forwarded GET carries of the client and of the trace, and nothing
    /// else of the client's request.
    pub async fn get(&self, permit: &Permit, target: Get<'_>) -> Result<Called<Answer>, Problem> {
        let upstream = self.upstreams.find(target.upstream)?;
        check_loop(self.request.headers())?;
        let uri = upstream.base.uri(target.path, target.query).map_err(|_| {
            log::warn!("upstream {}: a target that HTTP cannot name", upstream.name);
            Problem::BadRequest("the request cannot be put to the API")
        })?;
        let outbound = UpstreamHeaders {
            cookies: target.cookies,
            ..self.upstream_headers(upstream)
        };
        let is_carried = |name: &str| CARRIED.contains(&name);
        let head = || {
            let mut headers = outbound.headers(self.request.headers(), is_carried)?;
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            let mut head = http::Request::new(());
            *head.uri_mut() = uri.clone();
            *head.headers_mut() = headers;
            Ok(head)
        };
        let told = Told::begin(upstream, "GET");
        let call = Call {
            upstream,
            permit,
            client: self.client,
            limit: target.timeout.unwrap_or(upstream.settings.timeout),
            span: &told.span,
        };
        let called = call.send(&uri, head).await;
        told.end(&called, |answer| answer.status().as_u16());
        called
    }

    /// What the headers for an upstream depend on, before a route adds its own rules.
    pub(in crate::proxy) fn upstream_headers<'h>(
        &'h self,
        upstream: &'h Upstream,
    ) -> UpstreamHeaders<'h> {
        UpstreamHeaders {
            host: &upstream.base.host,
            origin: self.origin,
            client: self.client,
            csrf_header: self.csrf_header,
            cookies: &[],
            strip_headers: &[],
            restricts_methods: false,
            version: self.request.version(),
        }
    }
}
