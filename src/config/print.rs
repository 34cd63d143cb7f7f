//! `--print-config`: the effective configuration, one `key = value  # origin` a line. The output is TOML again.
//!
//! # Invariants
//! - No secret is read for it: it shows where each secret is. A password in a URL is blanked.

use std::fmt::Write;

use figment::value::{Dict, Num, Value};
use url::Url;

use super::key_path::{KeyPath, quoted};
use super::mistake::ConfigErrors;
use super::written::Written;

impl Written {
    /// The effective configuration with the origin of each value, for `--print-config`.
    pub fn print(&self) -> Result<String, ConfigErrors> {
        if self.mistakes.is_empty() {
            Ok(print(self))
        } else {
            Err(ConfigErrors::new(self.mistakes.clone()))
        }
    }
}

/// All lines.
fn print(written: &Written) -> String {
    let mut rows = Vec::new();
    collect(&written.values, &KeyPath::default(), &mut rows);
    let mut text = String::new();
    for (path, value) in rows {
        let origin = written.origin_of(&path);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<60}  # {origin}", format!("{path} = {value}"));
    }
    text
}

fn collect(table: &Dict, at: &KeyPath, rows: &mut Vec<(KeyPath, String)>) {
    for (key, value) in table {
        let path = at.child(key);
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => collect(inner, &path, rows),
            // An empty section, such as `upstream` without any.
            Value::Dict(..) if path.keys().len() == 1 => {}
            value => rows.push((path, show(value))),
        }
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(&without_password(text)),
        Value::Char(_, c) => quoted(&c.to_string()),
        Value::Bool(_, on) => on.to_string(),
        Value::Num(_, num) => show_number(num),
        Value::Empty(..) => "{}".to_owned(),
        Value::Dict(_, table) => {
            let items: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", KeyPath::of([key.as_str()]), show(value)))
                .collect();
            if items.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", items.join(", "))
            }
        }
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn show_number(num: &Num) -> String {
    match (num.to_u128_lossy(), num.to_actual()) {
        (Some(number), _) => number.to_string(),
        (None, figment::error::Actual::Signed(number)) => number.to_string(),
        (None, figment::error::Actual::Float(number)) => number.to_string(),
        (None, _) => "0".to_owned(),
    }
}

fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // This fails only for URLs that cannot have a password.
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => text.to_owned(),
    }
}
