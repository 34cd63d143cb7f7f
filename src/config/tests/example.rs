//! `--example-config`.

use super::*;

#[test]
fn the_example_loads_as_it_is_but_for_the_secret_it_asks_for() {
    let config = resolved(&[EXAMPLE], &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    // Every key of the settings is there, if only in a comment.
    for key in include_str!("../settings.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "))
        .map(|(key, _)| key)
    {
        assert!(EXAMPLE.contains(key), "{key}");
    }
    let (written, _dir) = layered(&[EXAMPLE], &[]);
    assert!(written.unwrap().print().is_ok());
}

#[test]
fn the_example_shows_the_defaults() {
    let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
    let defaults: toml::Table = toml::from_str(include_str!("../defaults.toml")).unwrap();
    compare(&example, &defaults);
}

fn compare(example: &toml::Table, defaults: &toml::Table) {
    for (key, default) in defaults {
        // These stand in comments: with them the example would do more than serve, or do something else.
        if matches!(
            key.as_str(),
            "claim" | "coordination" | "deadline" | "exchange" | "part" | "rate_limit"
        ) {
            stands_in_comments(key, default);
            continue;
        }
        let shown = example.get(key).or_else(|| {
            assert_eq!(key, "*");
            example.values().next()
        });
        match (shown, default) {
            (Some(toml::Value::Table(shown)), toml::Value::Table(default)) => {
                compare(shown, default);
            }
            (shown, default) => assert_eq!(shown, Some(default), "{key}"),
        }
    }
}

fn stands_in_comments(key: &str, default: &toml::Value) {
    if let toml::Value::Table(defaults) = default {
        for (key, default) in defaults {
            stands_in_comments(key, default);
        }
        return;
    }
    let says = |line: &str| {
        line.starts_with('#') && line.contains(key) && line.contains(&default.to_string())
    };
    assert!(EXAMPLE.lines().any(says), "{key}");
}
