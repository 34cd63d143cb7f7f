//! Environment variables: how they name keys, and how they write values.

use std::collections::BTreeMap;
use std::ffi::OsString;

use figment::value::{Dict, Value};

use super::key_path::{KeyPath, has_hyphens};

/// Variables by name. Those named `SEALGATE__…` are configuration; a secret's reference may name any other.
pub type Environment = BTreeMap<String, OsString>;

/// `SEALGATE__SERVER__BIND` is `server.bind`.
const PREFIX: &str = "SEALGATE__";

/// The variable that names the configuration files.
pub(super) const CONFIG: &str = "SEALGATE_CONFIG";

/// The key that a variable sets; `None` for other programs' variables.
///
/// `SEALGATE__FRONTEND__MY_SHOP__BASE_PATH` is `frontend.my-shop.base_path`: names have hyphens, keys have underscores.
pub(super) fn path_of(variable: &str) -> Option<KeyPath> {
    let rest = variable.strip_prefix(PREFIX)?;
    let mut keys: Vec<String> = Vec::new();
    for key in rest.to_lowercase().split("__") {
        keys.push(if has_hyphens(&keys) {
            key.replace('_', "-")
        } else {
            key.to_owned()
        });
    }
    Some(KeyPath::of(keys))
}

/// The variable that the operator probably meant by one that sealgate does not read: the name has single underscores, or
/// small letters.
///
/// `None` for other programs' variables, among them those that Kubernetes sets for a Service named `sealgate-…`.
pub(super) fn meant_by(variable: &str, values: &Dict) -> Option<String> {
    const SECTIONS: [&str; 6] = [
        "COORDINATION",
        "FRONTEND",
        "KEYS",
        "SERVER",
        "TELEMETRY",
        "UPSTREAM",
    ];
    let upper = variable.to_uppercase();
    if let Some(meant) = nearly_ours(&upper, &SECTIONS) {
        return Some(meant);
    }
    let rest = upper.strip_prefix("SEALGATE_")?;
    if variable.starts_with(PREFIX) || variable == CONFIG {
        return None;
    }
    if upper == CONFIG {
        return Some(upper);
    }
    let is_of_kubernetes = rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || rest.contains("_PORT_")
        || rest.ends_with("_PORT");
    let words: Vec<&str> = rest.split('_').filter(|word| !word.is_empty()).collect();
    let [section, below @ ..] = &words[..] else {
        return None;
    };
    if is_of_kubernetes || below.is_empty() || !SECTIONS.contains(section) {
        return None;
    }
    let mut known = Vec::new();
    collect(values, &KeyPath::default(), &mut known);
    let is_same = |name: &String| {
        name.split('_')
            .filter(|word| !word.is_empty())
            .skip(1)
            .eq(words.iter().copied())
    };
    let meant = known.into_iter().find(is_same);
    Some(meant.unwrap_or_else(|| match *section {
        "FRONTEND" | "UPSTREAM" => format!("{PREFIX}{section}__<name>__<key>"),
        _ => format!("{PREFIX}{section}__{}", below.join("_")),
    }))
}

/// The variable that is meant by one whose first word is ours but for a letter or two: `SEALGAT__SERVER__BIND`.
fn nearly_ours(upper: &str, sections: &[&str]) -> Option<String> {
    let (first, rest) = upper.split_once("__")?;
    let (section, _) = rest.split_once("__")?;
    let ours = PREFIX.trim_end_matches('_');
    let is_near = first != ours && strsim::osa_distance(first, ours) <= 2;
    (is_near && sections.contains(&section)).then(|| format!("{PREFIX}{rest}"))
}

/// The variables that would set these values.
fn collect(table: &Dict, at: &KeyPath, names: &mut Vec<String>) {
    for (key, value) in table {
        let path = at.child(key);
        names.push(name_of(&path));
        if let Value::Dict(_, inner) = value {
            collect(inner, &path, names);
        }
    }
}

/// The variable that sets a key.
pub(super) fn name_of(path: &KeyPath) -> String {
    let name = path.keys().join("__").replace('-', "_").to_uppercase();
    format!("{PREFIX}{name}")
}

/// Lists and tables are written as inline TOML. Everything else is text, so that `00123` keeps its zeros.
pub(super) fn value_of(text: &str) -> Value {
    let structured = text.trim_start().starts_with(['[', '{', '"']);
    match text.parse() {
        Ok(value) if structured => value,
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variables_name_is_a_path_and_names_get_their_hyphens() {
        for (variable, path) in [
            ("SERVER__BIND", "server.bind"),
            ("KEYS__RETIRE_AFTER", "keys.retire_after"),
            (
                "FRONTEND__MY_SHOP__ROUTE__TOP_TEN__BODY_LIMIT",
                "frontend.my-shop.route.top-ten.body_limit",
            ),
            ("UPSTREAM__A_B__IDLE_TIMEOUT", "upstream.a-b.idle_timeout"),
            ("FRONTEND__SHOP__BASE_PATH", "frontend.shop.base_path"),
        ] {
            let parsed = path_of(&format!("{PREFIX}{variable}")).unwrap();
            assert_eq!(parsed.to_string(), path);
            assert_eq!(name_of(&parsed), format!("{PREFIX}{variable}"));
        }
        assert_eq!(path_of("SEALGATE_CONFIG"), None);
        assert_eq!(path_of("sealgate__keys__dir"), None);
    }

    #[test]
    fn a_name_that_nearly_names_a_key_is_told_from_others() {
        // N11
        let port = Value::from(8080);
        let server = Value::from(Dict::from([("bind".to_owned(), port.clone())]));
        let shop = Value::from(Dict::from([("base_path".to_owned(), port)]));
        let frontends = Value::from(Dict::from([("my-shop".to_owned(), shop)]));
        let values = Dict::from([
            ("server".to_owned(), server),
            ("frontend".to_owned(), frontends),
        ]);
        for (name, meant) in [
            ("SEALGATE_SERVER_BIND", Some("SEALGATE__SERVER__BIND")),
            ("SEALGATE_SERVER__BIND", Some("SEALGATE__SERVER__BIND")),
            ("sealgate__server__bind", Some("SEALGATE__SERVER__BIND")),
            (
                "SEALGATE_KEYS_RETIRE_AFTER",
                Some("SEALGATE__KEYS__RETIRE_AFTER"),
            ),
            (
                "SEALGATE_FRONTEND_MY_SHOP_BASE_PATH",
                Some("SEALGATE__FRONTEND__MY_SHOP__BASE_PATH"),
            ),
            (
                "SEALGATE_FRONTEND_OTHER_ORIGIN",
                Some("SEALGATE__FRONTEND__<name>__<key>"),
            ),
            ("Sealgate_Config", Some("SEALGATE_CONFIG")),
            ("SEALGATE_CONFIG", None),
            ("SEALGATE__SERVER__BIND", None),
            ("SEALGATE_SERVER", None),
            ("SEALGATE_VERSION", None),
            ("MY_SEALGATE_SERVER_BIND", None),
            // Kubernetes, for Services named sealgate and sealgate-server.
            ("SEALGATE_SERVICE_HOST", None),
            ("SEALGATE_PORT_8080_TCP_ADDR", None),
            ("SEALGATE_SERVER_SERVICE_HOST", None),
            ("SEALGATE_SERVER_SERVICE_PORT_HTTP", None),
            ("SEALGATE_SERVER_PORT", None),
            ("SEALGATE_SERVER_PORT_8080_TCP", None),
        ] {
            assert_eq!(meant_by(name, &values).as_deref(), meant, "{name}");
        }
    }

    #[test]
    fn a_variable_is_text_unless_it_is_written_as_a_list_or_table() {
        assert_eq!(value_of("00123").as_str(), Some("00123"));
        assert_eq!(value_of("true").as_str(), Some("true"));
        assert_eq!(value_of("\"x\"").as_str(), Some("x"));
        assert_eq!(value_of("[").as_str(), Some("["));
        let list = value_of("[\"a\", \"b\"]");
        assert_eq!(list.as_array().map(<[Value]>::len), Some(2));
        let table = value_of("{ file = \"x\" }");
        assert!(table.as_dict().is_some_and(|d| d.contains_key("file")));
    }
}
