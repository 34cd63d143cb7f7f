//! A request's head, from hyper's hands into the pipeline's.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};

use crate::message::Request;

/// The request with the head that hyper has read. `is_whole`: no body of it is yet to come.
pub(super) fn request(mut head: Parts, peer: Option<SocketAddr>, is_whole: bool) -> Request {
    if head.version == Version::HTTP_2 {
        say_in_headers(&mut head, is_whole);
    } else if !is_whole {
        part_from_buffer(&mut head);
    }
    Request::new(head, peer)
}

/// Says by headers what HTTP/2 says below them.
fn say_in_headers(head: &mut Parts, is_whole: bool) {
    // The pseudo-header stands for `Host` (RFC 9113 §8.3.1). Where both are there, the pipeline compares them.
    if !head.headers.contains_key(header::HOST)
        && let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.insert(header::HOST, host);
    }
    // The end of the stream says that there is no body, and a header need not.
    if is_whole && !matches!(head.method, Method::GET | Method::HEAD) {
        let none = HeaderValue::from_static("0");
        head.headers.insert(header::CONTENT_LENGTH, none);
    }
}

/// Copies the head out of the 8 KiB that hyper has read it into, so that hyper can read the body into the same memory: a client
/// may take long to send it, and there may be thousands of them.
fn part_from_buffer(head: &mut Parts) {
    if let Some(uri) = copy_of_target(&head.uri) {
        head.uri = uri;
    }
    copy_values(&mut head.headers);
}

/// `None` for what is no path: it is rare.
fn copy_of_target(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().filter(|_| uri.scheme().is_none())?;
    let copy = Bytes::copy_from_slice(path.as_str().as_bytes());
    PathAndQuery::from_maybe_shared(copy).ok().map(Uri::from)
}

fn copy_values(headers: &mut HeaderMap) {
    let length = headers.values().map(HeaderValue::len).sum();
    let mut copy = BytesMut::with_capacity(length);
    for value in headers.values_mut() {
        copy.extend_from_slice(value.as_bytes());
        if let Ok(copied) = HeaderValue::from_maybe_shared(copy.split().freeze()) {
            *value = copied;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    /// A request whose target and values lie in one buffer, as hyper reads them.
    fn read_into(buffer: &Bytes) -> Parts {
        let (target, rest) = (buffer.slice(..5), buffer.slice(5..));
        let target = PathAndQuery::from_maybe_shared(target).unwrap();
        let mut head = parts(http::Request::post(Uri::from(target)));
        for at in 0..2 {
            let value = HeaderValue::from_maybe_shared(rest.slice(at..=at)).unwrap();
            head.headers.append("x-letter", value);
        }
        head
    }

    #[test]
    fn a_head_whose_body_is_to_come_lets_go_of_the_buffer() {
        for (is_whole, is_free) in [(false, true), (true, false)] {
            let buffer = Bytes::from(b"/a?b=cd".to_vec());
            let request = request(read_into(&buffer), None, is_whole);
            assert_eq!(request.uri(), "/a?b=");
            let letters: Vec<_> = request.headers().get_all("x-letter").iter().collect();
            assert_eq!(letters, ["c", "d"]);
            assert_eq!(buffer.is_unique(), is_free, "{is_whole}");
        }
    }

    #[test]
    fn headers_say_what_http2_says_below_them() {
        let post = || http::Request::post("https://a.test/").version(Version::HTTP_2);
        let lines = |request: &Request| {
            let of = |name| request.headers().get(name).cloned();
            (of(header::HOST), of(header::CONTENT_LENGTH))
        };
        let value = |text| Some(HeaderValue::from_static(text));
        let whole = request(parts(post()), None, true);
        assert_eq!(lines(&whole), (value("a.test"), value("0")));
        let begun = request(parts(post().header("host", "b.test")), None, false);
        assert_eq!(lines(&begun), (value("b.test"), None));
    }
}
