//! `alerts.yml` and `dashboard.json` ask for what `/metrics` has, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use serde_json::Value;

use crate::readme::every_metric;

const ALERTS: &str = include_str!("../../src/telemetry/alerts.yml");
const DASHBOARD: &str = include_str!("../../src/telemetry/dashboard.json");

/// What `/metrics` has: each family, its labels, and their values.
struct Exported(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Exported {
    fn read(text: &str) -> Self {
        let mut families: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        let declared = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for line in declared {
            let name = line.split(' ').next().unwrap();
            families.insert(name.to_owned(), BTreeMap::new());
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, rest) = line.split_once(['{', ' ']).expect(line);
            let labels = families.get_mut(family(name)).expect(line);
            let selectors = rest.rsplit_once('}').map_or("", |(selectors, _)| selectors);
            for (label, value) in pairs(selectors) {
                labels
                    .entry(label.to_owned())
                    .or_default()
                    .insert(value.to_owned());
            }
        }
        Self(families)
    }

    /// Every name, label and value of an expression is there.
    #[track_caller]
    fn assert_has(&self, expression: &str) {
        let mut known = BTreeSet::new();
        for (name, selectors) in selected(expression) {
            let labels = self.0.get(family(name));
            let labels = labels.unwrap_or_else(|| panic!("no {name} for {expression}"));
            known.extend(labels.keys().map(String::as_str));
            for (label, value) in pairs(selectors) {
                // Prometheus adds these two.
                if ["job", "instance"].contains(&label) {
                    continue;
                }
                let values = labels.get(label);
                let values = values.unwrap_or_else(|| panic!("no {label} for {expression}"));
                for value in value.split('|').filter(|value| !value.starts_with('$')) {
                    assert!(
                        values.contains(value),
                        "no {value} for {expression}: {values:?}"
                    );
                }
            }
        }
        assert!(
            !selected(expression).is_empty(),
            "nothing of ours: {expression}"
        );
        for grouped in expression.split("by (").skip(1) {
            for label in grouped.split(')').next().unwrap().split(", ") {
                assert!(known.contains(label), "no {label} for {expression}");
            }
        }
    }
}

/// The metrics that an expression names, each with what stands in its braces.
fn selected(expression: &str) -> Vec<(&str, &str)> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = ["sealgate_", "process_"];
    let starts = starts
        .iter()
        .flat_map(|start| expression.match_indices(start));
    starts
        .map(|(at, _)| {
            let rest = &expression[at..];
            let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            let selectors = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            (name, selectors.map_or("", |(selectors, _)| selectors))
        })
        .collect()
}

/// `a="b",c=~"d"` → (a, b), (c, d)
fn pairs(selectors: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = selectors;
    iter::from_fn(move || {
        let (label, quoted) = rest.split_once('"')?;
        let (value, behind) = quoted.split_once('"')?;
        rest = behind.trim_start_matches(',');
        Some((label.trim_end_matches(['=', '~', '!']).trim(), value))
    })
}

/// The family of a sample. Buckets, sum and count belong to their histogram.
fn family(name: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    let family = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    family.unwrap_or(name)
}

#[test]
fn an_expression_is_taken_apart() {
    let expression = r#"sum by (a) (rate(sealgate_x_total{a="b",c!~"d|e"}[5m])) / process_y"#;
    assert_eq!(
        selected(expression),
        [("sealgate_x_total", r#"a="b",c!~"d|e""#), ("process_y", "")]
    );
    let found: Vec<_> = pairs(r#"a="b",c!~"d|e""#).collect();
    assert_eq!(found, [("a", "b"), ("c", "d|e")]);
}

/// The expressions of the alerts, on one line or on several that are indented further.
fn alerts() -> Vec<String> {
    let mut lines = ALERTS.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim().strip_prefix("expr: ") else {
            continue;
        };
        if expression != "|" {
            found.push(expression.to_owned());
            continue;
        }
        let of_block = |line: &&str| line.starts_with("          ");
        let block: Vec<_> = iter::from_fn(|| lines.next_if(of_block)).collect();
        found.push(block.join(" "));
    }
    found
}

fn panels(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| panels(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "expr" => found.push(text.clone()),
                    Value::String(text) if text.starts_with("label_values(") => {
                        found.push(text.clone());
                    }
                    member => panels(member, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let exported = Exported::read(&every_metric());
    let alerts = alerts();
    assert!(alerts.len() > 12, "{alerts:?}");
    let mut shown = Vec::new();
    panels(&serde_json::from_str(DASHBOARD).unwrap(), &mut shown);
    assert!(shown.len() > 25, "{shown:?}");
    for expression in alerts.iter().chain(&shown) {
        exported.assert_has(expression);
    }
    // Every alert says how bad it is and what to do.
    for word in [
        "severity: ",
        "summary: ",
        "description: ",
        "- alert: Sealgate",
    ] {
        assert_eq!(ALERTS.matches(word).count(), alerts.len(), "{word}");
    }
}
