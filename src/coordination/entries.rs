//! The stream as the store answers it: our entries, and any that somebody else has put beside them.
//!
//! # Invariants
//! - A malformed entry is skipped. It never blocks later ones.
//!
//! # Why not the library's reply
//! The library reads names of fields as text, and refuses the whole answer if one of them is not text.

use redis::Value;

/// The one field that an entry of ours has.
pub(super) const FIELD: &str = "v";

/// One entry.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// Its place in the stream.
    pub(super) id: String,
    /// Its value, if it may be ours.
    pub(super) sealed: Option<Vec<u8>>,
}

/// The answer is not an answer to XREAD.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer is not a stream")]
pub(super) struct NotAStream;

/// The entries of an answer to XREAD, in either version of the protocol. There are none if none came in time.
pub(super) fn read(reply: Value) -> Result<Vec<Entry>, NotAStream> {
    let streams: Vec<Value> = match reply {
        Value::Nil => Vec::new(),
        Value::Array(streams) => streams
            .into_iter()
            .map(|stream| pair(stream).map(|(_, entries)| entries))
            .collect::<Option<_>>()
            .ok_or(NotAStream)?,
        Value::Map(streams) => streams.into_iter().map(|(_, entries)| entries).collect(),
        _ => return Err(NotAStream),
    };
    let mut read = Vec::new();
    for entries in streams {
        let Value::Array(entries) = entries else {
            return Err(NotAStream);
        };
        for entry in entries {
            read.push(one(entry).ok_or(NotAStream)?);
        }
    }
    Ok(read)
}

fn one(entry: Value) -> Option<Entry> {
    let (Value::BulkString(id), fields) = pair(entry)? else {
        return None;
    };
    Some(Entry {
        id: String::from_utf8(id).ok()?,
        sealed: field(fields),
    })
}

/// The value of our field. Names and values alternate.
fn field(fields: Value) -> Option<Vec<u8>> {
    let Value::Array(fields) = fields else {
        return None;
    };
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match (name, value) {
            (Value::BulkString(name), Value::BulkString(value)) if name == FIELD.as_bytes() => {
                return Some(value);
            }
            _ => {}
        }
    }
    None
}

fn pair(value: Value) -> Option<(Value, Value)> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [first, second] = <[Value; 2]>::try_from(parts).ok()?;
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    fn entry(id: &str, fields: &[&[u8]]) -> Value {
        let fields = fields.iter().map(|field| text(field)).collect();
        Value::Array(vec![text(id.as_bytes()), Value::Array(fields)])
    }

    #[test]
    fn a_malformed_entry_is_skipped_and_hides_none_of_ours() {
        let entries = || {
            Value::Array(vec![
                entry("1-0", &[b"v", b"sealed"]),
                entry("2-0", &[b"x", b"1"]),
                entry("3-0", &[b"\xff\xfe", b"1"]),
                entry("4-0", &[b"\xff", b"1", b"v", b"\xff"]),
                entry("5-0", &[b"v"]),
                entry("6-0", &[]),
                Value::Array(vec![text(b"7-0"), Value::Nil]),
                entry("8-0", &[b"v", b""]),
            ])
        };
        let expected = [
            ("1-0", Some(&b"sealed"[..])),
            ("2-0", None),
            ("3-0", None),
            ("4-0", Some(b"\xff")),
            ("5-0", None),
            ("6-0", None),
            ("7-0", None),
            ("8-0", Some(b"")),
        ]
        .map(|(id, sealed)| Entry {
            id: id.to_owned(),
            sealed: sealed.map(<[u8]>::to_vec),
        });
        let name = || text(b"sealgate:revocations");
        for reply in [
            Value::Array(vec![Value::Array(vec![name(), entries()])]),
            Value::Map(vec![(name(), entries())]),
        ] {
            assert_eq!(read(reply).unwrap(), expected);
        }
        assert_eq!(read(Value::Nil).unwrap(), []);
    }

    #[test]
    fn an_answer_that_is_not_a_stream_is_an_error() {
        for reply in [
            Value::Okay,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![text(b"name"), text(b"entries")])]),
            Value::Map(vec![(
                text(b"name"),
                Value::Array(vec![Value::Array(vec![Value::Int(1), Value::Nil])]),
            )]),
        ] {
            assert!(read(reply).is_err());
        }
    }
}
