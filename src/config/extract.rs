//! Values → [`Settings`]: finds every key that is unknown or has the wrong type, not just the first.
//!
//! # Why a loop
//! serde stops at its first error. So `extract` notes that key, removes it so that its default takes its place, and lets
//! serde try again.

use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};

use super::key_path::KeyPath;
use super::mistake::did_you_mean;
use super::settings::Settings;

/// A mistake without its origin.
pub(super) struct Found {
    pub(super) path: KeyPath,
    pub(super) what: String,
    pub(super) remedy: String,
}

/// Adds the defaults of keys that have no value.
pub(super) fn overlay(values: &mut Dict, defaults: &Dict) {
    for (key, default) in defaults {
        match (values.get_mut(key), default) {
            (None, default) => {
                values.insert(key.clone(), default.clone());
            }
            (Some(Value::Dict(_, values)), Value::Dict(_, defaults)) => overlay(values, defaults),
            (Some(_), _) => {}
        }
    }
}

/// Reads the settings, and removes from `values` what could not be read. `None` only if the defaults are wrong.
pub(super) fn extract(
    values: &mut Dict,
    defaults: impl Fn(&Dict) -> Dict,
) -> (Option<Settings>, Vec<Found>) {
    let mut found = Vec::new();
    loop {
        let mut full = values.clone();
        overlay(&mut full, &defaults(values));
        match Value::from(full).deserialize::<Settings>() {
            Ok(settings) => return (Some(settings), found),
            Err(errors) => {
                let mut progress = false;
                for error in errors {
                    let path = KeyPath::of(error.path.iter().cloned());
                    let elsewhere = elsewhere(values, &defaults, &path);
                    progress |= remove(values, path.keys());
                    let (what, remedy) = explain(&error, elsewhere.as_ref());
                    found.push(Found { path, what, remedy });
                }
                if !progress {
                    return (None, found);
                }
            }
        }
    }
}

/// Removes the key, or the list that the path leads into. False if there is no such key.
fn remove(values: &mut Dict, keys: &[String]) -> bool {
    let [key, rest @ ..] = keys else {
        return false;
    };
    match values.get_mut(key) {
        None => false,
        Some(Value::Dict(_, inner)) if !rest.is_empty() => remove(inner, rest),
        Some(_) => values.remove(key).is_some(),
    }
}

/// The table that has the key at `path`, if it stands in a wrong one: the nearest, of those that the configuration has.
///
/// serde knows which keys a table has. So it is asked, with the key in each table in turn, and nothing else in it.
fn elsewhere(values: &Dict, defaults: &impl Fn(&Dict) -> Dict, path: &KeyPath) -> Option<KeyPath> {
    let name = path.keys().last()?;
    let mut full = values.clone();
    overlay(&mut full, &defaults(values));
    let mut tables = Vec::new();
    collect_tables(&full, &KeyPath::default(), &mut tables);
    let steps_shared = |table: &KeyPath| {
        let pairs = table.keys().iter().zip(path.keys());
        pairs.take_while(|(a, b)| a == b).count()
    };
    tables.sort_by_key(|table| std::cmp::Reverse(steps_shared(table)));
    tables.into_iter().find(|table| {
        let has = |key: &str| {
            let value = Dict::from([(key.to_owned(), Value::from(""))]);
            let wrap = |inner: Dict, key: &String| Dict::from([(key.clone(), Value::from(inner))]);
            let alone = table.keys().iter().rev().fold(value, wrap);
            match Value::from(alone).deserialize::<Settings>() {
                Ok(_) => true,
                Err(errors) => errors
                    .into_iter()
                    .all(|error| !matches!(&error.kind, Kind::UnknownField(unknown, _) if unknown == key)),
            }
        };
        // A table of names that the operator chooses takes every key.
        has(name) && !has("a key that no table has")
    })
}

fn collect_tables(table: &Dict, at: &KeyPath, found: &mut Vec<KeyPath>) {
    for (key, value) in table {
        if let Value::Dict(_, inner) = value {
            let path = at.child(key);
            found.push(path.clone());
            collect_tables(inner, &path, found);
        }
    }
}

/// What is wrong, and a remedy. The string that was found is never shown: it may be a secret in the wrong place.
fn explain(error: &Error, elsewhere: Option<&KeyPath>) -> (String, String) {
    match &error.kind {
        Kind::UnknownField(name, known) => (
            "there is no such key".to_owned(),
            match (did_you_mean(name, known), elsewhere) {
                _ if name == "aggregate" && known.contains(&"part") => {
                    "write a part for each call: [frontend.shop.route.home.part.orders] with upstream, path and pick".to_owned()
                }
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(table)) => format!("move it to [{table}], which has this key"),
                (None, None) => format!("remove it; the keys here are {}", known.join(", ")),
            },
        ),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let expected = match expected.as_str() {
                "a sequence" => "a list such as [\"a\", \"b\"]",
                "a map" => "a table",
                other => other,
            };
            let remedy = match (expected, error.path.as_slice()) {
                ("a table", [section]) if is_named(section) => {
                    format!("give it a name: [{section}.<name>]")
                }
                ("a table", [section, _]) if is_named(section) => format!(
                    "write it below a name of your choice: [{section}.<name>]"
                ),
                ("a table", [.., section]) if section == "route" || section == "part" => {
                    format!("give it a name: [….{section}.<name>]")
                }
                ("a string", _) => "write it in quotes".to_owned(),
                _ => format!("write {expected}"),
            };
            (
                format!("{} stands where {expected} belongs", kind_of(actual)),
                remedy,
            )
        }
        Kind::Message(text) => match text.split_once('\n') {
            Some((what, remedy)) => (what.to_owned(), remedy.to_owned()),
            None => (text.clone(), "see --example-config".to_owned()),
        },
        _ => (
            "the value cannot be read".to_owned(),
            "see --example-config".to_owned(),
        ),
    }
}

/// Whether the tables of a section have names that the operator chooses.
fn is_named(section: &str) -> bool {
    matches!(section, "frontend" | "upstream")
}

fn kind_of(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a string",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}
