//! Times as key files and messages write them.
//!
//! # Spec
//! RFC 3339.

use jiff::Timestamp;

use crate::clock::UnixTime;

/// The text of a time. A time after the year 9999 has none.
pub(super) fn rfc3339(at: UnixTime) -> Option<String> {
    let second = i64::try_from(at.as_secs()).ok()?;
    Some(Timestamp::from_second(second).ok()?.to_string())
}
