//! One answer from several calls: the parts of it that know nothing of HTTP.
//!
//! `frontend` holds the plan of a composed route, `api` carries it out.
//!
//! - `template`: the path of a call, filled with values that stay in their place
//! - `json`: one pass over an answer, by `wanted` pointers · `shape`: what is kept of it
//! - `answer`: all that was kept, in one object
//!
//! # Spec
//! RFC 8259 (JSON), RFC 6901 (pointers), RFC 3986 (URLs).

pub mod answer;
pub mod json;
mod pointer;
#[cfg(feature = "fuzzing")]
pub(crate) mod probe;
mod shape;
mod template;
mod wanted;

pub use answer::{Failure, FailureCode, Outcome, merged};
pub use pointer::{InvalidPointer, Pointer};
pub use shape::{Kept, Misshapen, Shape};
pub use template::{Filling, InvalidTemplate, Source, Template, Unfilled};
pub use wanted::Slot;
