//! What a key means when no layer sets it.
//!
//! `defaults.toml` is one file with two readers. `--example-config` prints it to people; this file takes the defaults out
//! of it, by the rules that its first lines tell people:
//! - A value whose comment begins with `yours` is a sample. Every other value is a default.
//! - A table that is commented out is optional. Its defaults count only where a layer has the table.
//! - A name stands for every name that a layer uses in its place. Two names in one place, such as those of a route that
//!   forwards and a route that composes, stand for every name together.
//!
//! The file cannot say two defaults, which are computed here: `server.workers` and the `burst` of a rate limit.
//!
//! # Why one file
//! A default that is written in two places is wrong in one of them some day.

use std::thread::available_parallelism;

use figment::value::{Dict, Value};

use super::extract::overlay;
use super::key_path::is_named;
use super::layer::Layer;
use super::units::{RATES, Rate};

/// The annotated example: what `--example-config` prints.
pub const EXAMPLE: &str = include_str!("defaults.toml");

/// The defaults for the names and the optional tables that `said` has.
pub(super) fn defaults(said: &Dict) -> Dict {
    let template = Layer::built_in(&defaults_in(EXAMPLE, true));
    let always = Layer::built_in(&defaults_in(EXAMPLE, false));
    let mut defaults = fit(&template, Some(&always), said, &[]);
    if let Some(Value::Dict(_, server)) = defaults.get_mut("server") {
        let cores = available_parallelism().map_or(1, usize::from);
        server.insert("workers".to_owned(), Value::from(cores));
    }
    defaults
}

/// The lines without the samples; with the optional tables, or without them.
fn defaults_in(example: &str, with_optional_tables: bool) -> String {
    let mut is_optional = false;
    let mut lines = Vec::new();
    for line in example.lines() {
        let commented = line.strip_prefix("# ");
        is_optional = match commented {
            Some(text) => is_optional || text.starts_with('['),
            None => false,
        };
        let line = match commented {
            Some(text) if is_optional && with_optional_tables => text,
            _ => line,
        };
        if !line.contains("# yours") {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The part of `template` that `said` asks for. `always` is the template without optional tables, at the same place.
fn fit(template: &Dict, always: Option<&Dict>, said: &Dict, at: &[&str]) -> Dict {
    let mut fitted = Dict::new();
    for (key, value) in template {
        let Value::Dict(_, below) = value else {
            fitted.insert(key.clone(), value.clone());
            continue;
        };
        let at: Vec<&str> = at.iter().copied().chain([key.as_str()]).collect();
        let always = table(always, key);
        let said = table(Some(said), key);
        let of_this = if is_named(&at) {
            let named = of_each_name(below, always, said, &at);
            if named.is_empty() {
                continue;
            }
            named
        } else if always.is_none() && said.is_none() {
            continue;
        } else {
            fit(below, always, said.unwrap_or(&Dict::new()), &at)
        };
        fitted.insert(key.clone(), Value::from(of_this));
    }
    if let Some(burst) = burst(said).filter(|_| is_rate_limit(at)) {
        fitted.insert("burst".to_owned(), Value::from(burst));
    }
    fitted
}

/// The template's names together stand for each one that `said` has.
fn of_each_name(template: &Dict, always: Option<&Dict>, said: Option<&Dict>, at: &[&str]) -> Dict {
    let template = together(template);
    let always = always.map(together);
    let at: Vec<&str> = at.iter().copied().chain(["*"]).collect();
    said.into_iter()
        .flatten()
        .filter_map(|(name, said)| {
            let fitted = fit(&template, always.as_ref(), said.as_dict()?, &at);
            Some((name.clone(), Value::from(fitted)))
        })
        .collect()
}

/// All that the tables of these names have.
fn together(named: &Dict) -> Dict {
    let mut all = Dict::new();
    for table in named.values().filter_map(Value::as_dict) {
        overlay(&mut all, table);
    }
    all
}

fn table<'d>(around: Option<&'d Dict>, key: &str) -> Option<&'d Dict> {
    around?.get(key)?.as_dict()
}

fn is_rate_limit(at: &[&str]) -> bool {
    at.last().is_some_and(|key| key.ends_with("rate_limit"))
}

/// As many requests as `per_second` allows in one second.
fn burst(rate_limit: &Dict) -> Option<u64> {
    let Rate(rate) = rate_limit.get("per_second")?.deserialize().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bounds have been checked"
    )]
    RATES.contains(&rate).then(|| rate.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_single_comments_are_no_defaults_and_optional_tables_are() {
        let example = "\
            # Text.\n\
            [a]\n\
            b = 1 # text\n\
            c = 2 # yours: text\n\
            # d = 3\n\
            \n\
            # [e]\n\
            # f = 4\n\
            # g = 5 # yours\n\
            \n\
            # h = 6\n";
        let all: toml::Table = toml::from_str(&defaults_in(example, true)).unwrap();
        assert_eq!(all, toml::from_str("a.b = 1\ne.f = 4").unwrap());
        let always: toml::Table = toml::from_str(&defaults_in(example, false)).unwrap();
        assert_eq!(always, toml::from_str("a.b = 1").unwrap());
    }

    #[test]
    fn every_name_and_every_optional_table_that_is_said_gets_its_defaults() {
        let said = Layer::built_in(
            "upstream.a.url = \"x\"\n\
             upstream.b = {}\n\
             frontend.c.login_rate_limit.per_second = 0.5\n\
             frontend.c.route.d.rate_limit.per_second = 20\n\
             frontend.c.route.e = {}\n\
             frontend.c.route.f.part.g.exchange = {}",
        );
        let defaults = defaults(&said);
        let value = |path: &str| {
            let mut keys = path.split('.');
            let first = defaults.get(keys.next().unwrap());
            keys.try_fold(first?, |value, key| value.as_dict()?.get(key))
        };
        for (path, expect) in [
            ("upstream.a.timeout", true),
            ("upstream.a.url", false),
            ("upstream.b.timeout", true),
            ("upstream.orders", false),
            ("frontend.c.session.pad_to", true),
            ("frontend.c.login_rate_limit.burst", true),
            ("frontend.c.login_rate_limit.by", false),
            ("frontend.c.route.d.rate_limit.by", true),
            ("frontend.c.route.e.token", true),
            ("frontend.c.route.e.rate_limit", false),
            ("frontend.c.route.e.deadline", true),
            ("frontend.c.route.e.part", false),
            ("frontend.c.route.e.exchange", false),
            ("frontend.c.route.f.part.g.parallel", true),
            ("frontend.c.route.f.part.g.path", false),
            ("frontend.c.route.f.part.g.exchange.grant", true),
            ("frontend.shop", false),
            ("coordination", false),
            ("server.workers", true),
            ("keys.retire_after", false),
        ] {
            assert_eq!(value(path).is_some(), expect, "{path}");
        }
        let burst = |path: &str| value(path).and_then(Value::to_u128);
        assert_eq!(burst("frontend.c.login_rate_limit.burst"), Some(1));
        assert_eq!(burst("frontend.c.route.d.rate_limit.burst"), Some(20));
    }
}
