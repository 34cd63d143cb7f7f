//! Where a value stands in the configuration: `frontend.shop.oidc.issuer`.

use std::fmt::{self, Write as _};

/// Tables whose keys are names that the operator chooses; `*` stands for such a name. Each says whether an underscore in a
/// variable means a hyphen there: names of claims and parts may have underscores.
const NAMED: [(&[&str], bool); 5] = [
    (&["upstream"], true),
    (&["frontend"], true),
    (&["frontend", "*", "claim"], false),
    (&["frontend", "*", "route"], true),
    (&["frontend", "*", "route", "*", "part"], false),
];

/// Whether the keys of this table are names.
pub(super) fn is_named(table: &[impl AsRef<str>]) -> bool {
    NAMED.iter().any(|(named, _)| is_at(named, table))
}

/// Whether the keys of this table are names in which an underscore of a variable means a hyphen.
pub(super) fn has_hyphens(table: &[impl AsRef<str>]) -> bool {
    NAMED
        .iter()
        .any(|(named, has_hyphens)| *has_hyphens && is_at(named, table))
}

fn is_at(place: &[&str], table: &[impl AsRef<str>]) -> bool {
    let is_same = |(place, key): (&&str, _)| *place == "*" || *place == AsRef::<str>::as_ref(key);
    place.len() == table.len() && place.iter().zip(table).all(is_same)
}

/// The keys from the top of the configuration down to one value.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path made of these keys.
    pub fn of<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// The path of `key` inside the table at this path.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// The path of the table around the value; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// The keys, outermost first.
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether this is `other` or a table around it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for KeyPath {
    /// As TOML writes a dotted key. Keys that are not bare are quoted, so that control characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |key: &str| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        for (index, key) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if bare(key) {
                f.write_str(key)?;
            } else {
                f.write_str(&quoted(key))?;
            }
        }
        Ok(())
    }
}

/// A TOML basic string; control characters are escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
