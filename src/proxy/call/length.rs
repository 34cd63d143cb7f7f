//! How long a request's body is.

use http::{Method, Version, header};

use crate::message::Request;
use crate::problem::Problem;

/// What the framing of a request says about its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Length {
    /// There is none.
    None,
    /// `Content-Length`. The server holds the client to it.
    Exact(u64),
    /// It lasts until it ends.
    Unknown,
}

impl Length {
    /// Reads the framing, and refuses a body that is longer than `limit` before anything is sent.
    pub(in crate::proxy) fn of(request: &Request, limit: u64) -> Result<Self, Problem> {
        let length = match request.headers().get(header::CONTENT_LENGTH) {
            Some(value) => {
                let value = value
                    .to_str()
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                Self::Exact(value.ok_or(Problem::BadRequest("Content-Length is not a number"))?)
            }
            // The server lets no other coding through.
            None if request.headers().contains_key(header::TRANSFER_ENCODING) => Self::Unknown,
            // HTTP/2 frames bodies below the headers.
            None if request.version() == Version::HTTP_2
                && !matches!(*request.method(), Method::GET | Method::HEAD) =>
            {
                Self::Unknown
            }
            None => Self::None,
        };
        match length {
            Self::Exact(0) => Ok(Self::None),
            Self::Exact(bytes) if bytes > limit => Err(Problem::BodyTooLarge),
            _ => Ok(length),
        }
    }
}
