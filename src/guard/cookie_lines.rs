//! Where the `Cookie` lines of a request are.
//!
//! A sealed session is by far the longest header of a request. `server::connection` sets the lines aside as hyper has read
//! them. actix's headers are of another version of the crate `http`: on the way there each byte is copied and checked again.

use std::rc::Rc;

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};

/// The headers of a request as hyper has read them, in the request's extensions.
#[derive(Clone)]
pub struct SetAside(pub Rc<http::HeaderMap>);

/// The `Cookie` lines of one request.
pub struct CookieLines<'r> {
    headers: &'r HeaderMap,
    aside: Option<SetAside>,
}

impl<'r> CookieLines<'r> {
    /// Those of this request.
    pub fn of(request: &'r HttpRequest) -> Self {
        Self {
            headers: request.headers(),
            aside: request.extensions().get().cloned(),
        }
    }

    /// Each line, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let others = self.headers.get_all(COOKIE).map(HeaderValue::as_bytes);
        self.beside().chain(others)
    }

    /// Those that are not among actix's headers.
    pub fn beside(&self) -> impl Iterator<Item = &[u8]> {
        let aside = self.aside.iter();
        aside
            .flat_map(|SetAside(headers)| headers.get_all(http::header::COOKIE))
            .map(http::HeaderValue::as_bytes)
    }
}
