//! Turns a request of hyper's types into one of actix's, and an answer back.
//!
//! The two speak different versions of the crate `http`, so names and values are copied, but for cookies: see [`SetAside`].

use std::net::SocketAddr;
use std::rc::Rc;

use actix_http::{ConnectionType, HttpMessage as _, Payload, Request};
use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::uri::{self, PathAndQuery};
use actix_web::http::{Method, Uri, Version};
use bytes::Bytes;
use http::header;

use crate::guard::SetAside;

/// An actix request with the head that hyper has read. `None` if actix cannot express it. If there are cookies, it takes the
/// headers out of `head`, so that nobody copies the cookies.
pub(super) fn request(
    head: &mut http::request::Parts,
    payload: Payload,
    peer: Option<SocketAddr>,
) -> Option<Request> {
    let mut request = Request::with_payload(payload);
    let to = request.head_mut();
    to.method = Method::from_bytes(head.method.as_str().as_bytes()).ok()?;
    to.uri = target(&head.uri)?;
    to.version = match head.version {
        http::Version::HTTP_10 => Version::HTTP_10,
        http::Version::HTTP_2 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    to.peer_addr = peer;
    let mut has_cookies = false;
    for (name, value) in &head.headers {
        if name == header::COOKIE {
            has_cookies = true;
            continue;
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        to.headers_mut().append(name, value);
    }
    // In HTTP/2 the pseudo-header stands for `Host` (RFC 9113 §8.3.1). Where both are there, the pipeline compares them.
    if head.version == http::Version::HTTP_2
        && !head.headers.contains_key(header::HOST)
        && let Some(authority) = head.uri.authority()
    {
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        to.headers_mut().insert(actix_web::http::header::HOST, host);
    }
    if has_cookies {
        let aside = SetAside(Rc::new(std::mem::take(&mut head.headers)));
        request.extensions_mut().insert(aside);
    }
    Some(request)
}

fn target(target: &http::Uri) -> Option<Uri> {
    if target.scheme().is_some() || target.authority().is_some() {
        return target.to_string().parse().ok();
    }
    let path = target.path_and_query()?.as_str().as_bytes();
    let mut parts = uri::Parts::default();
    parts.path_and_query = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(path)).ok();
    Uri::from_parts(parts).ok()
}

/// An answer's head for hyper, and its body. hyper frames the body and adds the headers for that.
pub(super) fn answer(
    answer: actix_http::Response<BoxBody>,
    version: http::Version,
) -> (http::Response<()>, BoxBody) {
    let (answer, body) = answer.into_parts();
    let mut head = http::Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(answer.status().as_u16())
        .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = head.headers_mut();
    headers.reserve(answer.headers().len().saturating_add(2));
    for (name, value) in answer.headers() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
        let value = http::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    // HTTP/2 has no such header (RFC 9113 §8.2.2).
    if version != http::Version::HTTP_2 {
        let option = match answer.head().connection_type() {
            ConnectionType::Close => Some("close"),
            ConnectionType::Upgrade => Some("upgrade"),
            ConnectionType::KeepAlive => None,
        };
        if let Some(option) = option {
            headers.insert(header::CONNECTION, http::HeaderValue::from_static(option));
        }
    }
    // An answer without a body may still state a length. In all other answers hyper states it.
    if !matches!(body.size(), BodySize::None) {
        headers.remove(header::CONTENT_LENGTH);
    }
    (head, body)
}
