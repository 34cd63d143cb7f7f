//! Claims as bytes: JSON values without JSON's many spellings.
//!
//! # Invariants
//! - Each value has one encoding. Members stand in ascending order of their names, and each name stands once. A number keeps its kind.
//! - Nesting is bounded, so that a cookie cannot exhaust the stack. The bound is that of the JSON parser, so every claim
//!   that came in a token can be written.
//!
//! # Why
//! JSON text is several times slower to read, and texts that differ in spaces or order would mean the same.

use serde_json::{Map, Number, Value};

use super::codec::{Malformed, Reader, Writer};

/// Longest text or name.
const LIMIT: usize = 64 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 128;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const UNSIGNED: u8 = 3;
/// A number n below zero, written as -1-n.
const NEGATIVE: u8 = 4;
const FLOAT: u8 = 5;
const TEXT: u8 = 6;
const ARRAY: u8 = 7;
const OBJECT: u8 = 8;

/// Writes a set of claims.
pub(super) fn write(writer: &mut Writer, claims: &Map<String, Value>) {
    write_members(writer, claims, 0);
}

/// Reads a set of claims.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Map<String, Value>, Malformed> {
    read_members(reader, 0)
}

/// How many bytes one claim takes.
pub(super) fn len(name: &str, value: &Value) -> usize {
    let mut writer = Writer::new();
    writer.bytes(LIMIT, name.as_bytes());
    write_value(&mut writer, value, 0);
    writer.len()
}

fn write_members(writer: &mut Writer, members: &Map<String, Value>, depth: usize) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    writer.number(sorted.len() as u64);
    for (name, value) in sorted {
        writer.bytes(LIMIT, name.as_bytes());
        write_value(writer, value, depth);
    }
}

fn read_members(reader: &mut Reader<'_>, depth: usize) -> Result<Map<String, Value>, Malformed> {
    let mut members = Map::new();
    let mut previous: Option<&str> = None;
    for _ in 0..reader.number()? {
        let name = reader.text(LIMIT)?;
        if previous.is_some_and(|previous| previous >= name) {
            return Err(Malformed);
        }
        members.insert(name.to_owned(), read_value(reader, depth)?);
        previous = Some(name);
    }
    Ok(members)
}

fn write_value(writer: &mut Writer, value: &Value, depth: usize) {
    writer.require(depth < MAX_DEPTH);
    match value {
        Value::Null => writer.byte(NULL),
        Value::Bool(false) => writer.byte(FALSE),
        Value::Bool(true) => writer.byte(TRUE),
        Value::Number(number) => write_number(writer, number),
        Value::String(text) => {
            writer.byte(TEXT);
            writer.bytes(LIMIT, text.as_bytes());
        }
        Value::Array(values) => {
            writer.byte(ARRAY);
            writer.number(values.len() as u64);
            for value in values {
                write_value(writer, value, depth + 1);
            }
        }
        Value::Object(members) => {
            writer.byte(OBJECT);
            write_members(writer, members, depth + 1);
        }
    }
}

fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<Value, Malformed> {
    if depth >= MAX_DEPTH {
        return Err(Malformed);
    }
    Ok(match reader.byte()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        UNSIGNED => Value::from(reader.number()?),
        NEGATIVE => {
            let below = i64::try_from(reader.number()?).map_err(|_| Malformed)?;
            Value::from(-1 - below)
        }
        FLOAT => {
            let float = f64::from_be_bytes(reader.array()?);
            Value::Number(Number::from_f64(float).ok_or(Malformed)?)
        }
        TEXT => Value::from(reader.text(LIMIT)?),
        ARRAY => {
            let mut values = Vec::new();
            for _ in 0..reader.number()? {
                values.push(read_value(reader, depth + 1)?);
            }
            Value::Array(values)
        }
        OBJECT => Value::Object(read_members(reader, depth + 1)?),
        _ => return Err(Malformed),
    })
}

fn write_number(writer: &mut Writer, number: &Number) {
    if let Some(unsigned) = number.as_u64() {
        writer.byte(UNSIGNED);
        writer.number(unsigned);
    } else if let Some(negative) = number.as_i64() {
        writer.byte(NEGATIVE);
        writer.number((-1 - negative).unsigned_abs());
    } else {
        // Without serde_json's feature `arbitrary_precision` every other number is a finite float.
        let float = number.as_f64();
        writer.require(float.is_some());
        writer.byte(FLOAT);
        writer.raw(&float.unwrap_or_default().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encoded(claims: &Value) -> Result<Vec<u8>, usize> {
        let mut writer = Writer::new();
        write(&mut writer, claims.as_object().unwrap());
        writer.finish().map(|sections| sections.packed.to_vec())
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let claims = json!({
            "sub": "1", "": "", "null": null, "no": false, "yes": true, "zero": 0, "big": u64::MAX,
            "low": i64::MIN, "minus": -1, "float": 1.5, "whole": 1.0, "minus_zero": -0.0, "tiny": 5e-324,
            "roles": ["a", ["b"], {}], "address": {"z": 1, "a": {"b": "ü"}},
        });
        let bytes = encoded(&claims).unwrap();
        let read = read(&mut Reader::new(&bytes, &[])).unwrap();
        assert_eq!(Value::Object(read.clone()), claims);
        assert_eq!(encoded(&Value::Object(read)), Ok(bytes));
    }

    #[test]
    fn a_second_spelling_is_malformed() {
        // E17
        let nan = [&[1, 1, b'a', FLOAT][..], &f64::NAN.to_be_bytes()].concat();
        for (bytes, why) in [
            (&[2, 1, b'b', NULL, 1, b'a', NULL][..], "descending names"),
            (&[2, 1, b'a', NULL, 1, b'a', NULL], "a name twice"),
            (&[1, 1, b'a', 9], "no such kind"),
            (&[1, 1, b'a', UNSIGNED, 0x80, 0], "a longer number"),
            (
                &[
                    1, 1, b'a', NEGATIVE, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1,
                ],
                "below i64",
            ),
            (
                &[255, 255, 255, 255, 15, 1, b'a', NULL],
                "more members than bytes",
            ),
            (
                &[1, 1, b'a', ARRAY, 255, 255, 255, 255, 15],
                "more values than bytes",
            ),
            (&nan, "not a number"),
        ] {
            assert_eq!(read(&mut Reader::new(bytes, &[])), Err(Malformed), "{why}");
        }
    }

    #[test]
    fn nesting_is_as_deep_as_the_json_parser_goes_and_no_deeper() {
        let nested = |depth| {
            let text = format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
            serde_json::from_str::<Value>(&text)
        };
        let deepest = (1..MAX_DEPTH)
            .rev()
            .find_map(|depth| nested(depth).ok())
            .unwrap();
        let bytes = encoded(&deepest).unwrap();
        assert_eq!(
            read(&mut Reader::new(&bytes, &[])).map(Value::Object),
            Ok(deepest)
        );

        let mut bytes = vec![1, 1, b'a'];
        bytes.extend([ARRAY, 1].repeat(100_000));
        assert_eq!(read(&mut Reader::new(&bytes, &[])), Err(Malformed));
        let too_deep = (0..MAX_DEPTH).fold(json!(1), |value, _| json!([value]));
        assert!(encoded(&json!({ "a": too_deep })).is_err());
    }
}
