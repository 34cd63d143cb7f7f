//! How environment variables name keys and spell values.

use figment::value::Value;

use super::key_path::KeyPath;

/// `SEALGATE__SERVER__BIND` is `server.bind`.
const PREFIX: &str = "SEALGATE__";

/// `SEALGATE__FRONTEND__MY_SHOP__BASE_PATH` is `frontend.my-shop.base_path`: names have hyphens, keys have underscores.
/// `None` for other programs' variables.
pub(super) fn path_of(variable: &str) -> Option<KeyPath> {
    let rest = variable.strip_prefix(PREFIX)?;
    let mut keys: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
    let hyphenate = |key: Option<&mut String>| {
        if let Some(key) = key {
            *key = key.replace('_', "-");
        }
    };
    match keys.first().map(String::as_str) {
        Some("frontend") => {
            if keys.get(2).is_some_and(|key| key == "route") {
                hyphenate(keys.get_mut(3));
            }
            hyphenate(keys.get_mut(1));
        }
        Some("upstream") => hyphenate(keys.get_mut(1)),
        _ => {}
    }
    Some(KeyPath::of(keys))
}

/// The variable that sets a key, for remedies.
pub(super) fn name_of(path: &KeyPath) -> String {
    let name = path.keys().join("__").replace('-', "_").to_uppercase();
    format!("{PREFIX}{name}")
}

/// Lists and tables are written as TOML writes them inline; all else is text, so that `00123` stays as it is.
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
