//! One log record as one line of text or JSON.

use std::fmt::Write as _;
use std::io::{self, Write};

use log::Record;
use log::kv::{self, Key, Value, VisitSource};
use serde_json::{Map, Value as Json, json};

/// `2026-11-21T19:00:00.000Z INFO  sealgate::app: listening bind=0.0.0.0:8080`
pub(super) fn text(out: &mut impl Write, at: &str, record: &Record<'_>) -> io::Result<()> {
    let mut line = format!("{at} {:<5} ", record.level());
    escape(record.target(), &mut line);
    line.push_str(": ");
    escape(&record.args().to_string(), &mut line);
    // The visitor below does not fail.
    let _ = record.key_values().visit(&mut TextFields(&mut line));
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// `{"ts":"…","level":"INFO","target":"sealgate::app","msg":"listening","bind":"0.0.0.0:8080"}`
pub(super) fn json(out: &mut impl Write, at: &str, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Map::new();
    let _ = record.key_values().visit(&mut JsonFields(&mut fields));
    // serde_json escapes control characters. The others are escaped for terminals that show the line.
    let plain = |text: &str| {
        let mut escaped = String::new();
        escape_invisible(text, &mut escaped);
        escaped
    };
    let fixed = [
        ("ts", at.to_owned()),
        ("level", record.level().to_string()),
        ("target", plain(record.target())),
        ("msg", plain(&record.args().to_string())),
    ];
    let mut line = String::new();
    for (key, text) in fixed {
        // A field of that name would be said twice.
        fields.remove(key);
        let _ = write!(line, ",\"{key}\":{}", json!(text));
    }
    for (key, value) in &fields {
        let _ = write!(line, ",{}:{value}", json!(plain(key)));
    }
    writeln!(out, "{{{}}}", line.trim_start_matches(','))
}

struct TextFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push(' ');
        escape(key.as_str(), self.0);
        self.0.push('=');
        let text = value.to_string();
        // Quoted where a reader could not tell where the value ends.
        let plain = !text.is_empty()
            && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '=' | '\\'));
        if plain {
            escape(&text, self.0);
        } else {
            self.0.push('"');
            escape(&text.replace('\\', "\\\\").replace('"', "\\\""), self.0);
            self.0.push('"');
        }
        Ok(())
    }
}

struct JsonFields<'a>(&'a mut Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let json = if let Some(number) = value.to_u64() {
            json!(number)
        } else if let Some(number) = value.to_i64() {
            json!(number)
        } else if let Some(on) = value.to_bool() {
            json!(on)
        } else if let Some(number) = value.to_f64() {
            json!(number)
        } else {
            let mut text = String::new();
            escape_invisible(&value.to_string(), &mut text);
            json!(text)
        };
        self.0.insert(key.as_str().to_owned(), json);
        Ok(())
    }
}

/// Makes control characters and other invisible characters visible.
fn escape(text: &str, line: &mut String) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_invisible(c) => {
                // Writing to a string cannot fail.
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
}

/// Does the same, except for the characters that JSON escapes.
fn escape_invisible(text: &str, out: &mut String) {
    for c in text.chars() {
        if is_invisible(c) && !c.is_ascii_control() {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

/// Control characters, separators at which some viewers break lines, and marks that change the reading direction.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    fn lines(message: &str, fields: &[(&str, Value<'_>)]) -> (String, String) {
        let (mut as_text, mut as_json) = (Vec::new(), Vec::new());
        let args = format_args!("{message}");
        // One statement: `format_args!` lives no longer.
        let record = Record::builder()
            .args(args)
            .level(Level::Info)
            .target("sealgate::app")
            .key_values(&fields)
            .build();
        text(&mut as_text, "2026-11-21T19:00:00.000Z", &record).unwrap();
        json(&mut as_json, "2026-11-21T19:00:00.000Z", &record).unwrap();
        (
            String::from_utf8(as_text).unwrap(),
            String::from_utf8(as_json).unwrap(),
        )
    }

    #[test]
    fn fields_follow_the_message() {
        let fields = [
            ("frontend", Value::from("shop")),
            ("status", Value::from(502_u16)),
            ("reason", Value::from("no \"key\" there")),
        ];
        let (text, json) = lines("answered", &fields);
        assert_eq!(
            text,
            "2026-11-21T19:00:00.000Z INFO  sealgate::app: answered frontend=shop status=502 reason=\"no \\\"key\\\" there\"\n"
        );
        let json: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(
            json,
            json!({
                "ts": "2026-11-21T19:00:00.000Z", "level": "INFO", "target": "sealgate::app",
                "msg": "answered", "frontend": "shop", "status": 502, "reason": "no \"key\" there",
            })
        );
    }

    #[test]
    fn a_line_cannot_be_forged() {
        // F14
        let evil =
            "x\r\n2026-11-21T19:00:00.000Z ERROR sealgate: pwned\u{2028}\u{1b}[2J\u{85}\u{202e}";
        let fields = [("path", Value::from(evil)), ("level", Value::from("ERROR"))];
        let (text, json) = lines(evil, &fields);
        for line in [&text, &json] {
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(line.ends_with('\n'));
            let body = line.trim_end_matches('\n');
            assert!(!body.chars().any(is_invisible), "{line:?}");
        }
        let json: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(json["level"], "INFO");
    }
}
