//! Which part of a file a client asks for.
//!
//! # Spec
//! RFC 9110 §14.2 (`Range`), §13.1.5 (`If-Range`). A server may ignore a `Range`: so are several of them at once, and units that
//! are not bytes.

use actix_web::http::Method;
use actix_web::http::header::{EntityTag, IfRange, Range};
use actix_web::{HttpMessage as _, HttpRequest};

use super::file::Entry;

/// A part of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From one byte to another, both of them too.
    Range { first: u64, last: u64 },
    /// The file ends before.
    Unsatisfiable,
}

/// What the request asks for. `tag` is that of the bare file.
pub(super) fn wanted(request: &HttpRequest, entry: &Entry, tag: &EntityTag) -> Part {
    // A range is defined for `GET` alone.
    if *request.method() != Method::GET {
        return Part::Whole;
    }
    let Some(Range::Bytes(ranges)) = request.get_header::<Range>() else {
        return Part::Whole;
    };
    let is_same = match request.get_header::<IfRange>() {
        // It is there and says nothing that can be read: the client may have another file.
        None => !request.headers().contains_key("if-range"),
        Some(IfRange::EntityTag(known)) => known.strong_eq(tag),
        // An equal date, and no later one.
        Some(IfRange::Date(date)) => entry.modified_at == Some(date),
    };
    match &ranges[..] {
        [range] if is_same => match range.to_satisfiable_range(entry.bare.len) {
            Some((first, last)) => Part::Range { first, last },
            None => Part::Unsatisfiable,
        },
        _ => Part::Whole,
    }
}
