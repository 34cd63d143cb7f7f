//! A key is in three places: `settings.rs` has its type, `defaults.toml` its default, `README.md` its meaning.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SETTINGS: &str = include_str!("../settings.rs");

/// The names that `defaults.toml` gives to what operators name.
const SAMPLES: [&str; 5] = ["orders", "shop", "home", "me", "roles"];

/// The fields of each struct of `settings.rs`, with their types.
fn structs() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    SETTINGS
        .split("pub(super) struct ")
        .skip(1)
        .map(|text| {
            let (name, fields) = text.split_once(" {").unwrap();
            let fields = fields
                .split("\n}")
                .next()
                .unwrap()
                .lines()
                .filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "))
                .map(|(key, of)| (key, of.trim_end_matches(',')))
                .collect();
            (name, fields)
        })
        .collect()
}

/// Every key below a struct, with names written as `<name>`; a secret is one key.
fn keys(structs: &BTreeMap<&str, Vec<(&'static str, &str)>>, of: &str, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (key, of) in &structs[of] {
        let inner = of
            .trim_start_matches("Option<")
            .trim_start_matches("BTreeMap<String, ")
            .trim_end_matches('>');
        let path = format!("{at}{key}");
        if inner == "SecretReference" || !structs.contains_key(inner) {
            found.push(path);
        } else if of.starts_with("BTreeMap") {
            found.extend(keys(structs, inner, &format!("{path}.<name>.")));
        } else {
            found.extend(keys(structs, inner, &format!("{path}.")));
        }
    }
    found
}

fn all_keys() -> BTreeSet<String> {
    let found: BTreeSet<_> = keys(&structs(), "Settings", "").into_iter().collect();
    assert!(found.len() > 50, "{found:#?}");
    found
}

#[test]
fn the_manual_has_every_key_and_no_other() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/README.md");
    let manual = fs::read_to_string(manual).unwrap();
    let (_, rows) = manual.split_once("\n## Keys\n").unwrap();
    let rows = rows.split("\n## ").next().unwrap();
    let mut told = BTreeSet::new();
    for row in rows.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let key = cells[0].trim_matches('`');
        let key = key
            .replace("….part.", "….route.<name>.part.<name>.")
            .replace("….", "frontend.<name>.");
        // A small table is one row: `{ cert, key }`.
        match cells[1].strip_prefix("`{ ") {
            Some(members) => {
                for member in members.trim_end_matches(" }`").split(", ") {
                    told.insert(format!("{key}.{member}"));
                }
            }
            None => drop(told.insert(key)),
        }
    }
    assert_eq!(told, all_keys());
}

#[test]
fn the_example_has_every_key_and_all_of_it_is_understood() {
    // Every comment that could be a line of TOML becomes one.
    let whole: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(text) if is_toml(text) => format!("{text}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let (written, _dir) = layered(&[&whole], &[]);
    let printed = written.unwrap().print();
    printed.unwrap_or_else(|errors| panic!("{errors}"));
    let whole: toml::Table = toml::from_str(&whole).unwrap();
    for key in all_keys() {
        let mut values = vec![toml::Value::from(whole.clone())];
        for part in key.split('.') {
            let named: &[&str] = if part == "<name>" { &SAMPLES } else { &[part] };
            values = values
                .iter()
                .flat_map(|value| named.iter().filter_map(|name| value.get(name).cloned()))
                .collect();
        }
        assert!(!values.is_empty(), "{key}");
    }
}

fn is_toml(line: &str) -> bool {
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    line.starts_with('[')
        || line
            .trim_start_matches(is_key)
            .trim_start()
            .starts_with("= ")
            && line.starts_with(is_key)
}

#[test]
fn every_default_stands_in_one_file() {
    // serde has defaults of its own. They may only mean "empty": no named table, or no key that is set.
    let structs = structs();
    for (around, line) in SETTINGS.lines().zip(SETTINGS.lines().skip(1)) {
        if around.trim() == "#[serde(default)]" {
            let names_tables = structs.iter().any(|(name, fields)| {
                let is_open = fields.iter().all(|(_, of)| of.starts_with("Option<"));
                line.ends_with(&format!("BTreeMap<String, {name}>,"))
                    || is_open && line.ends_with(&format!(": {name},"))
            });
            assert!(names_tables, "{line}");
        }
    }
    assert!(!SETTINGS.contains("default ="));
    // Without any layer, every key that must have a value gets one from that file.
    let written = Sources::default().read().unwrap();
    assert_eq!(written.mistakes, Vec::new());
}
