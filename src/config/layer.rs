//! One layer of configuration: a file, the environment, or the command line.
//!
//! # Invariants
//! - A layer knows the origin of each key: file and line, or the name of the variable.
//! - A syntax error is reported by place and reason. The line itself is never quoted, because it may hold a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use toml_edit::{ImDocument, Item, TableLike};

use super::key_path::KeyPath;
use super::mistake::Mistake;
use super::variable::{self, Environment};

/// People write configuration files by hand; a longer file is a mistake.
const MAX_FILE: u64 = 1 << 20;

/// The values of one source.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The file's name, or a name for another source. Names are for people: two layers may have the same one.
    pub(super) name: String,
    /// The values.
    pub(super) values: Dict,
    /// The origin of each key.
    origins: BTreeMap<KeyPath, String>,
    /// Where relative paths in it begin; `None` is the working directory.
    pub(super) dir: Option<PathBuf>,
    /// The file that it was read from.
    pub(super) file: Option<PathBuf>,
    /// Its place among the layers, which identifies it.
    pub(super) place: usize,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.to_string())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

impl Layer {
    /// Reads a TOML file.
    pub(super) fn file(path: &Path) -> Result<Self, Mistake> {
        let name = path.display().to_string();
        let wrong = |what: String, remedy: &str| Mistake {
            path: KeyPath::default(),
            origin: name.escape_debug().to_string(),
            what,
            remedy: remedy.to_owned(),
        };
        let mut text = String::new();
        let mut limited = File::open(path)
            .map_err(|error| {
                wrong(
                    format!("the file cannot be opened: {error}"),
                    "name a readable TOML file with -c; --example-config prints one",
                )
            })?
            .take(MAX_FILE + 1);
        limited.read_to_string(&mut text).map_err(|error| {
            wrong(
                format!("the file cannot be read: {error}"),
                "name a TOML file in UTF-8 with -c",
            )
        })?;
        if limited.limit() == 0 {
            return Err(wrong(
                "the file is longer than 1 MiB".to_owned(),
                "name a configuration file with -c",
            ));
        }
        let document = ImDocument::parse(text.as_str()).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            let mut mistake = wrong(
                format!("this is not TOML: {}", syntax_error(error.message())),
                remedy_of_syntax(&text, line),
            );
            mistake.origin = format!("{}:{line}", mistake.origin);
            mistake
        })?;
        let mut layer = Self::new(name.escape_debug().to_string());
        layer.file = Some(path.to_owned());
        // A pipe has no directory to begin at.
        if path.is_file() {
            layer.dir = path.parent().map(Path::to_path_buf);
        }
        layer.values = layer.table(document.as_table(), &KeyPath::default(), Some(&text));
        Ok(layer)
    }

    /// The values of a text that is known to be TOML: the defaults.
    pub(super) fn built_in(text: &str) -> Dict {
        ImDocument::parse(text).map_or_else(
            |_| Dict::new(),
            |document| {
                Self::new(String::new()).table(document.as_table(), &KeyPath::default(), None)
            },
        )
    }

    /// Takes every variable named `SEALGATE__…`.
    pub(super) fn environment(env: &Environment) -> Result<Self, Vec<Mistake>> {
        let mut layer = Self::new("environment".to_owned());
        let mut mistakes = Vec::new();
        // The map is sorted by name: a table comes before the keys that override parts of it.
        for (name, text) in env {
            let Some(path) = variable::path_of(name) else {
                continue;
            };
            let mut wrong = |what: &str, remedy: &str| {
                mistakes.push(Mistake {
                    path: KeyPath::default(),
                    origin: name.escape_debug().to_string(),
                    what: what.to_owned(),
                    remedy: remedy.to_owned(),
                });
            };
            let Some(text) = text.to_str() else {
                wrong("the value is not UTF-8", "set it to text in UTF-8");
                continue;
            };
            if path.keys().iter().any(String::is_empty) {
                wrong(
                    "the name has an empty part between underscores",
                    "separate keys by two underscores, as in SEALGATE__SERVER__BIND",
                );
                continue;
            }
            if !layer.set(&path, variable::value_of(text), name) {
                wrong(
                    "another variable sets the table around this key to a value that is not a table",
                    "unset one of the two variables",
                );
            }
        }
        if mistakes.is_empty() {
            Ok(layer)
        } else {
            Err(mistakes)
        }
    }

    /// Takes values given as options of the command line.
    pub(super) fn command_line(options: &[(KeyPath, String, String)]) -> Self {
        let mut layer = Self::new("command line".to_owned());
        for (path, option, text) in options {
            layer.set(path, Value::from(text.as_str()), option);
        }
        layer
    }

    /// The origin of the value at `path`: its own, or that of the nearest table around it that was set as a whole. A table
    /// that only its keys make begins with the first of them.
    pub(super) fn origin_of(&self, path: &KeyPath) -> &str {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if let Some(origin) = self.origins.get(&path) {
                return origin;
            }
            at = path.parent();
        }
        let mut below = self.origins.range(path..);
        match below.next() {
            Some((first, origin)) if path.covers(first) => origin,
            _ => &self.name,
        }
    }

    fn new(name: String) -> Self {
        Self {
            name,
            values: Dict::new(),
            origins: BTreeMap::new(),
            dir: None,
            file: None,
            place: 0,
        }
    }

    /// Sets a value. False if another value stands where a table around it must be.
    fn set(&mut self, path: &KeyPath, value: Value, origin: &str) -> bool {
        self.origins.insert(path.clone(), origin.to_owned());
        put(&mut self.values, path.keys(), value)
    }

    fn table(&mut self, table: &dyn TableLike, at: &KeyPath, text: Option<&str>) -> Dict {
        let mut values = Dict::new();
        for (key, item) in table.iter() {
            let path = at.child(key);
            let place = table.get_key_value(key).and_then(|(key, _)| key.span());
            if let Some((text, span)) = text.zip(place) {
                let origin = format!("{}:{}", self.name, line_of(text, span.start));
                self.origins.insert(path.clone(), origin);
            }
            values.insert(key.to_owned(), self.item(item, &path, text));
        }
        values
    }

    fn item(&mut self, item: &Item, at: &KeyPath, text: Option<&str>) -> Value {
        match item {
            Item::None => Value::from(Dict::new()),
            Item::Value(value) => self.value(value, at, text),
            Item::Table(table) => Value::from(self.table(table, at, text)),
            Item::ArrayOfTables(tables) => Value::from(
                tables
                    .iter()
                    .map(|table| Value::from(self.table(table, at, text)))
                    .collect::<Vec<_>>(),
            ),
        }
    }

    fn value(&mut self, value: &toml_edit::Value, at: &KeyPath, text: Option<&str>) -> Value {
        match value {
            toml_edit::Value::String(v) => Value::from(v.value().as_str()),
            toml_edit::Value::Integer(v) => Value::from(*v.value()),
            toml_edit::Value::Float(v) => Value::from(*v.value()),
            toml_edit::Value::Boolean(v) => Value::from(*v.value()),
            toml_edit::Value::Datetime(v) => Value::from(v.value().to_string()),
            toml_edit::Value::InlineTable(table) => Value::from(self.table(table, at, text)),
            toml_edit::Value::Array(array) => Value::from(
                array
                    .iter()
                    .map(|value| self.value(value, at, text))
                    .collect::<Vec<_>>(),
            ),
        }
    }
}

fn put(table: &mut Dict, keys: &[String], value: Value) -> bool {
    match keys {
        [] => false,
        [key] => {
            table.insert(key.clone(), value);
            true
        }
        [key, rest @ ..] => {
            let inner = table
                .entry(key.clone())
                .or_insert_with(|| Value::from(Dict::new()));
            match inner {
                Value::Dict(_, inner) => put(inner, rest, value),
                _ => false,
            }
        }
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    1 + text
        .bytes()
        .take(byte)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// The parser's reason on one line.
fn syntax_error(message: &str) -> String {
    message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// What to do about a text that is not TOML: mostly it is meant to be, and sometimes it is another format.
fn remedy_of_syntax(text: &str, line: usize) -> &'static str {
    let at_fault = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let key = at_fault.trim_start().split(':').next().unwrap_or_default();
    let is_yaml = at_fault.contains(':')
        && !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if text.trim_start().starts_with('{') {
        "this looks like JSON: write TOML; --example-config prints an example"
    } else if is_yaml {
        "this looks like YAML: write TOML; --example-config prints an example"
    } else if at_fault.contains(['“', '”', '„', '‘', '’']) {
        "write straight quotes: \""
    } else {
        "correct the syntax: strings stand in quotes, tables in [brackets]"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_names_the_line_and_quotes_nothing() {
        // F14
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.toml");
        std::fs::write(
            &path,
            "[frontend.shop.oidc]\n\nclient_secret = \"canary-7f3a\n",
        )
        .unwrap();
        let mistake = Layer::file(&path).unwrap_err().to_string();
        assert!(mistake.contains("bad.toml:3"), "{mistake}");
        assert!(!mistake.contains("canary"), "{mistake}");
        std::fs::write(&path, "client_secret = canary-7f3a\n").unwrap();
        let mistake = Layer::file(&path).unwrap_err().to_string();
        assert!(!mistake.contains("canary"), "{mistake}");
    }
}
