//! What a client and sealgate say to each other: a [`Request`] with its [`Payload`], and an [`Answer`].
//!
//! They are hyper's types, so nothing of them is copied between the client's connection, the pipeline and an upstream. An
//! endpoint builds its answer with actix-web's builder, and [`answer`] turns it over.

mod condition;

use std::fmt;
use std::net::SocketAddr;

use actix_http::ConnectionType;
use actix_web::HttpResponse;
use http::header::{CONNECTION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

pub use actix_http::Payload;
pub use actix_web::body::BoxBody;

pub use condition::names_tag;

/// An answer on its way to the client. The connection adds what frames its body.
pub type Answer = http::Response<BoxBody>;

/// A request as its client sent it, without its body.
pub struct Request {
    head: Parts,
    peer: Option<SocketAddr>,
}

impl Request {
    /// A request that came from `peer`. A Unix socket has no address.
    pub const fn new(head: Parts, peer: Option<SocketAddr>) -> Self {
        Self { head, peer }
    }

    /// The method.
    pub const fn method(&self) -> &Method {
        &self.head.method
    }

    /// The target.
    pub const fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// The version of HTTP.
    pub const fn version(&self) -> Version {
        self.head.version
    }

    /// The headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The other end of the connection.
    pub const fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Its `Cookie` lines, in order.
    pub fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.head.headers.get_all(COOKIE);
        lines.iter().map(HeaderValue::as_bytes)
    }
}

/// Says nothing of what was sent: much of it is secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl From<http::request::Builder> for Request {
    fn from(builder: http::request::Builder) -> Self {
        let (head, ()) = builder.body(()).unwrap().into_parts();
        Self::new(head, None)
    }
}

/// The answer that actix-web's builder has made.
pub fn answer(response: HttpResponse) -> Answer {
    let (from, body) = response.into_parts();
    let mut answer = Answer::new(body);
    *answer.status_mut() =
        StatusCode::from_u16(from.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.reserve(from.headers().len());
    for (name, value) in from.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if from.head().connection_type() == ConnectionType::Close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_turned_over_with_all_its_lines() {
        let mut built = HttpResponse::Accepted();
        built.append_header(("set-cookie", "a=1"));
        built.append_header(("set-cookie", "b=2"));
        built.insert_header(("etag", "\"x\""));
        built.force_close();
        let answer = answer(built.body("done"));
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let lines = |name| -> Vec<_> { answer.headers().get_all(name).iter().collect() };
        assert_eq!(lines("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(lines("etag"), ["\"x\""]);
        assert_eq!(lines("connection"), ["close"]);
    }

    #[test]
    fn nothing_of_a_request_is_shown() {
        let request = http::Request::get("/secret").header("cookie", "secret");
        assert_eq!(format!("{:?}", Request::from(request)), "Request { .. }");
    }
}
