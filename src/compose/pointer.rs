//! JSON pointers (RFC 6901).

use serde_json::{Map, Value};

/// A pointer into a JSON document: the names on the way down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pointer(Vec<String>);

/// The text is not a JSON pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a JSON pointer is empty or begins with \"/\", and \"~\" is followed by \"0\" or \"1\" (RFC 6901 §3)"
)]
pub struct InvalidPointer;

impl Pointer {
    /// Takes the string form (RFC 6901 §3). The empty text points to the whole document.
    pub fn parse(text: &str) -> Result<Self, InvalidPointer> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let names = text.strip_prefix('/').ok_or(InvalidPointer)?;
        names
            .split('/')
            .map(unescaped)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or(InvalidPointer)
    }

    /// A pointer to the member of this name.
    pub fn of_name(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The value that it points to in an object.
    pub fn find<'v>(&self, object: &'v Map<String, Value>) -> Option<&'v Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter()
            .try_fold(object.get(first)?, |value, name| match value {
                Value::Object(members) => members.get(name),
                Value::Array(all) => all.get(name.parse::<usize>().ok()?),
                _ => None,
            })
    }

    /// The names on the way down, from the root.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether it points to the whole document.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }
}

/// `~1` is `/` and `~0` is `~` (RFC 6901 §4).
fn unescaped(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next()? {
                '0' => out.push('~'),
                '1' => out.push('/'),
                _ => return None,
            },
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<String>> {
        Pointer::parse(text).ok().map(|pointer| pointer.0)
    }

    #[test]
    fn the_examples_of_rfc_6901_section_5_are_read() {
        for (text, expect) in [
            ("", Some(vec![])),
            ("/foo", Some(vec!["foo"])),
            ("/foo/0", Some(vec!["foo", "0"])),
            ("/", Some(vec![""])),
            ("/a~1b", Some(vec!["a/b"])),
            ("/m~0n", Some(vec!["m~n"])),
            ("/~01", Some(vec!["~1"])),
            ("/ ", Some(vec![" "])),
            ("foo", None),
            ("/~", None),
            ("/~2", None),
        ] {
            let expect = expect.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(names(text), expect, "{text:?}");
        }
    }
}
