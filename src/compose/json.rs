//! One pass over a JSON document: is it one, and where does what is wanted stand in it?
//!
//! The document is not built up in memory. What comes out are ranges of the bytes as they were sent, so that numbers,
//! spelling and order stay what they were.
//!
//! # Invariants
//! - A document is accepted only if every reader understands the same by it: names are unique within an object, every
//!   escape of a surrogate has its partner, and nothing follows the value (RFC 8259 §4, §8.2).
//! - The walk goes down [`MAX_DEPTH`] levels and not further, whatever the document says.
//!
//! # Spec
//! RFC 8259; RFC 7493 §2 (unique names, surrogates).

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::wanted::Wanted;

/// Deepest nesting that is accepted.
pub const MAX_DEPTH: usize = 128;

/// From how many members on the names of an object are looked up by a hash.
const MANY_MEMBERS: usize = 32;

/// Why the bytes are not a JSON document that has one meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotJson {
    /// Broken grammar.
    #[error("the grammar is broken at byte {0}")]
    Grammar(usize),
    /// An object has one name twice.
    #[error("a name is there twice before byte {0}")]
    DuplicateName(usize),
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair before byte {0}")]
    Surrogate(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("it is nested over {MAX_DEPTH} levels deep at byte {0}")]
    TooDeep(usize),
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Where the whole value stands, without the white space around it.
    pub whole: Range<usize>,
    /// The value of each slot, if it is there.
    pub values: Vec<Option<Range<usize>>>,
    /// For each element of the array that was wanted: where it stands, and the values of its slots. `None` if there is
    /// no such array.
    pub elements: Option<Vec<Element>>,
}

/// One element of an array.
#[derive(Clone, Debug)]
pub struct Element {
    /// Where it stands.
    pub whole: Range<usize>,
    /// The value of each slot, if it is there.
    pub values: Vec<Option<Range<usize>>>,
}

/// What to look for, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Search<'w> {
    /// Pointers from the root.
    pub root: &'w Wanted,
    /// How many slots they fill.
    pub slots: usize,
    /// Pointers from each element of the array whose elements are wanted.
    pub element: &'w Wanted,
    /// How many slots those fill.
    pub element_slots: usize,
    /// How many elements are noted; those behind are read and left.
    pub max_elements: usize,
}

impl Search<'_> {
    /// Walks over a document.
    pub fn walk(&self, bytes: &[u8]) -> Result<Found, NotJson> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotJson::NotUtf8)?;
        // RFC 8259 §8.1: a reader may ignore a byte order mark.
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let mut walk = Walk {
            search: *self,
            text,
            at: start,
            names: Vec::new(),
            values: vec![None; self.slots],
            elements: None,
        };
        walk.space();
        let begin = walk.at;
        walk.value(
            Looking {
                root: Some(self.root),
                element: None,
            },
            0,
        )?;
        let whole = begin..walk.at;
        walk.space();
        if walk.at != text.len() {
            return Err(NotJson::Grammar(walk.at));
        }
        Ok(Found {
            whole,
            values: walk.values,
            elements: walk.elements,
        })
    }
}

/// What is wanted of the value that comes next.
#[derive(Clone, Copy, Default)]
struct Looking<'w> {
    root: Option<&'w Wanted>,
    element: Option<&'w Wanted>,
}

impl<'w> Looking<'w> {
    const fn is_over(self) -> bool {
        self.root.is_none() && self.element.is_none()
    }

    fn map(self, next: impl Fn(&'w Wanted) -> Option<&'w Wanted>) -> Self {
        Self {
            root: self.root.and_then(&next),
            element: self.element.and_then(&next),
        }
    }

    fn member(self, name: &str) -> Self {
        self.map(|node| node.member(name))
    }

    fn at_index(self, index: usize) -> Self {
        self.map(|node| {
            if node.is_leaf() {
                None
            } else {
                node.element(index)
            }
        })
    }
}

struct Walk<'t, 'w> {
    search: Search<'w>,
    text: &'t str,
    at: usize,
    /// The names of the objects that are open, those of the innermost last.
    names: Vec<Cow<'t, str>>,
    values: Vec<Option<Range<usize>>>,
    elements: Option<Vec<Element>>,
}

impl<'t, 'w> Walk<'t, 'w> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    const fn wrong<T>(&self) -> Result<T, NotJson> {
        Err(NotJson::Grammar(self.at))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.takes(byte) {
            Ok(())
        } else {
            self.wrong()
        }
    }

    fn value(&mut self, looking: Looking<'w>, depth: usize) -> Result<(), NotJson> {
        let begin = self.at;
        match self.peek() {
            Some(b'{') => self.object(looking, self.deeper(depth)?)?,
            Some(b'[') => self.array(looking, self.deeper(depth)?)?,
            Some(b'"') => {
                self.string()?;
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => return self.wrong(),
        }
        let whole = begin..self.at;
        for slot in looking.root.map(Wanted::slots).unwrap_or_default() {
            note(&mut self.values, *slot, &whole);
        }
        if let Some(element) = self
            .elements
            .as_mut()
            .and_then(|elements| elements.last_mut())
        {
            for slot in looking.element.map(Wanted::slots).unwrap_or_default() {
                note(&mut element.values, *slot, &whole);
            }
        }
        Ok(())
    }

    const fn deeper(&self, depth: usize) -> Result<usize, NotJson> {
        if depth < MAX_DEPTH {
            Ok(depth + 1)
        } else {
            Err(NotJson::TooDeep(self.at))
        }
    }

    fn object(&mut self, looking: Looking<'w>, depth: usize) -> Result<(), NotJson> {
        self.expect(b'{')?;
        self.space();
        if self.takes(b'}') {
            return Ok(());
        }
        let first = self.names.len();
        let mut seen = HashSet::new();
        loop {
            let name = self.string()?.decoded();
            if !self.is_new(&name, first, &mut seen) {
                return Err(NotJson::DuplicateName(self.at));
            }
            let inner = if looking.is_over() {
                looking
            } else {
                looking.member(&name)
            };
            self.names.push(name);
            self.space();
            self.expect(b':')?;
            self.space();
            self.value(inner, depth)?;
            self.space();
            if !self.takes(b',') {
                break;
            }
            self.space();
        }
        self.names.truncate(first);
        self.expect(b'}')
    }

    /// Whether the object whose names begin at `first` has not had this one. Small objects are searched, large ones hashed.
    fn is_new(&self, name: &str, first: usize, seen: &mut HashSet<String>) -> bool {
        let known = self.names.get(first..).unwrap_or_default();
        if known.len() < MANY_MEMBERS {
            return known.iter().all(|known| known != name);
        }
        if seen.is_empty() {
            seen.extend(known.iter().map(|known| known.clone().into_owned()));
        }
        seen.insert(name.to_owned())
    }

    fn array(&mut self, looking: Looking<'w>, depth: usize) -> Result<(), NotJson> {
        // Elements are wanted of one array only, which no element of its own can be.
        let has_elements =
            self.elements.is_none() && looking.root.is_some_and(Wanted::has_elements);
        if has_elements {
            self.elements = Some(Vec::new());
        }
        self.expect(b'[')?;
        self.space();
        if self.takes(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            let mut inner = if looking.is_over() {
                looking
            } else {
                looking.at_index(index)
            };
            let is_noted = has_elements && index < self.search.max_elements;
            if is_noted && let Some(elements) = &mut self.elements {
                let values = vec![None; self.search.element_slots];
                elements.push(Element {
                    whole: 0..0,
                    values,
                });
                inner.element = Some(self.search.element);
            }
            let begin = self.at;
            self.value(inner, depth)?;
            let whole = begin..self.at;
            if is_noted
                && let Some(element) = self
                    .elements
                    .as_mut()
                    .and_then(|elements| elements.last_mut())
            {
                element.whole = whole;
            }
            index += 1;
            self.space();
            if !self.takes(b',') {
                break;
            }
            self.space();
        }
        self.expect(b']')
    }

    fn word(&mut self, word: &str) -> Result<(), NotJson> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.wrong();
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > begin {
            Ok(())
        } else {
            self.wrong()
        }
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            if !self.takes(b'+') {
                self.takes(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Text<'t>, NotJson> {
        self.expect(b'"')?;
        let begin = self.at;
        let mut has_escapes = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                _ => return self.wrong(),
            }
        }
        let written = self.text.get(begin..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text {
            written,
            has_escapes,
        })
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                match self.unit()? {
                    0xdc00..=0xdfff => return Err(NotJson::Surrogate(self.at)),
                    0xd800..=0xdbff => {
                        let has_partner = self.takes(b'\\') && self.takes(b'u');
                        if !has_partner || !matches!(self.unit()?, 0xdc00..=0xdfff) {
                            return Err(NotJson::Surrogate(self.at));
                        }
                    }
                    _ => {}
                }
            }
            _ => return self.wrong(),
        }
        Ok(())
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, NotJson> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .unwrap_or_default();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let is_hex = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let unit = u16::from_str_radix(text, 16).ok().filter(|_| is_hex);
        let unit = unit.ok_or(NotJson::Grammar(self.at))?;
        self.at += 4;
        Ok(unit)
    }
}

fn note(values: &mut [Option<Range<usize>>], slot: usize, whole: &Range<usize>) {
    if let Some(value) = values.get_mut(slot) {
        *value = Some(whole.clone());
    }
}

/// A string as it is written, between its quotes. Its escapes are good.
struct Text<'t> {
    written: &'t str,
    has_escapes: bool,
}

impl<'t> Text<'t> {
    fn decoded(&self) -> Cow<'t, str> {
        if self.has_escapes {
            Cow::Owned(unescaped(self.written))
        } else {
            Cow::Borrowed(self.written)
        }
    }
}

/// What the escapes of a string stand for. They have been checked.
fn unescaped(written: &str) -> String {
    let quoted = format!("\"{written}\"");
    serde_json::from_str(&quoted).unwrap_or_default()
}

/// The text of a string, number or boolean that stands in a checked document: a string without its escapes, a number with
/// the digits it was sent with. `None` for everything else.
pub fn scalar(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => {
            let written = value.strip_prefix('"')?.strip_suffix('"')?;
            Some(
                Text {
                    written,
                    has_escapes: written.contains('\\'),
                }
                .decoded(),
            )
        }
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(Cow::Borrowed(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pointer;
    use super::*;

    fn search(wanted: &Wanted, slots: usize) -> Search<'_> {
        Search {
            root: wanted,
            slots,
            element: wanted,
            element_slots: 0,
            max_elements: 0,
        }
    }

    fn check(text: &[u8]) -> Result<Found, NotJson> {
        search(&Wanted::default(), 0).walk(text)
    }

    fn at(document: &str, pointer: &str) -> Option<String> {
        let mut wanted = Wanted::default();
        wanted.want(&Pointer::parse(pointer).unwrap(), 0);
        let found = search(&wanted, 1).walk(document.as_bytes()).unwrap();
        let range = found.values.into_iter().next().flatten()?;
        Some(document[range].to_owned())
    }

    #[test]
    fn what_is_not_json_or_has_two_meanings_is_refused() {
        for (text, why) in [
            ("", NotJson::Grammar(0)),
            ("{", NotJson::Grammar(1)),
            ("[1,]", NotJson::Grammar(3)),
            ("{\"a\":1,}", NotJson::Grammar(7)),
            ("01", NotJson::Grammar(1)),
            ("1.", NotJson::Grammar(2)),
            ("-", NotJson::Grammar(1)),
            ("1e", NotJson::Grammar(2)),
            ("+1", NotJson::Grammar(0)),
            ("NaN", NotJson::Grammar(0)),
            ("tru", NotJson::Grammar(0)),
            ("nul", NotJson::Grammar(0)),
            ("1 2", NotJson::Grammar(2)),
            ("\"\t\"", NotJson::Grammar(1)),
            ("\"\\x\"", NotJson::Grammar(2)),
            ("\"\\u12g4\"", NotJson::Grammar(3)),
            ("\"\\u+123\"", NotJson::Grammar(3)),
            ("'a'", NotJson::Grammar(0)),
            ("{\"a\":1,\"a\":2}", NotJson::DuplicateName(10)),
            ("{\"a\":1,\"\\u0061\":2}", NotJson::DuplicateName(15)),
            ("{\"x\":{\"a\":1,\"a\":2}}", NotJson::DuplicateName(15)),
            ("\"\\ud800\"", NotJson::Surrogate(7)),
            ("\"\\udc00\"", NotJson::Surrogate(7)),
            ("\"\\ud800\\u0041\"", NotJson::Surrogate(13)),
        ] {
            assert_eq!(check(text.as_bytes()).err(), Some(why), "{text}");
        }
        assert_eq!(check(b"\"\xff\"").err(), Some(NotJson::NotUtf8));
    }

    #[test]
    fn a_name_may_come_again_in_another_object() {
        assert!(check(br#"{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn a_large_object_is_searched_for_duplicates_too() {
        let members = |last: &str| {
            let names = (0..1000).map(|n| format!("\"n{n}\":0,"));
            format!("{{{}\"{last}\":0}}", names.collect::<String>())
        };
        assert!(check(members("n1000").as_bytes()).is_ok());
        for last in ["n0", "n31", "n32", "n999"] {
            let refused = check(members(last).as_bytes());
            assert!(matches!(refused, Err(NotJson::DuplicateName(_))), "{last}");
        }
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(
            check(nested(MAX_DEPTH + 1).as_bytes()).err(),
            Some(NotJson::TooDeep(MAX_DEPTH))
        );
        assert!(matches!(
            check("[".repeat(1 << 20).as_bytes()),
            Err(NotJson::TooDeep(_))
        ));
    }

    #[test]
    fn pointers_lead_to_values_as_they_were_sent() {
        let document =
            r#" {"a": {"b": [1.50, {"c": "\u00fc"}], "": null}, "n": 1e400, "~/": true} "#;
        for (pointer, expect) in [
            ("", Some(document.trim())),
            ("/a/b", Some(r#"[1.50, {"c": "\u00fc"}]"#)),
            ("/a/b/0", Some("1.50")),
            ("/a/b/1/c", Some(r#""\u00fc""#)),
            ("/a/b/2", None),
            ("/a/b/01", None),
            ("/a/b/-", None),
            ("/a/", Some("null")),
            ("/n", Some("1e400")),
            ("/n/x", None),
            ("/~0~1", Some("true")),
            ("/missing", None),
        ] {
            assert_eq!(at(document, pointer).as_deref(), expect, "{pointer}");
        }
        assert_eq!(at("\u{feff}7", "").as_deref(), Some("7"));
    }

    #[test]
    fn elements_are_noted_up_to_the_limit_and_read_to_the_end() {
        let (mut root, mut element) = (Wanted::default(), Wanted::default());
        root.want_elements(&Pointer::parse("/d").unwrap());
        root.want(&Pointer::parse("/d/1/x").unwrap(), 0);
        element.want(&Pointer::parse("/x").unwrap(), 0);
        let search = Search {
            root: &root,
            slots: 1,
            element: &element,
            element_slots: 1,
            max_elements: 2,
        };
        let document = r#"{"d":[{"x":1,"d":[9]},{"x":2},{"x":3}],"e":[5]}"#;
        let found = search.walk(document.as_bytes()).unwrap();
        let text = |range: &Range<usize>| document[range.clone()].to_owned();
        let elements = found.elements.unwrap();
        let values: Vec<_> = elements
            .iter()
            .map(|element| element.values[0].as_ref().map(text))
            .collect();
        assert_eq!(values, [Some("1".to_owned()), Some("2".to_owned())]);
        assert_eq!(text(&elements[0].whole), r#"{"x":1,"d":[9]}"#);
        assert_eq!(found.values[0].as_ref().map(text).as_deref(), Some("2"));
        assert!(search.walk(br#"{"d":[1,2,3,]}"#).is_err());
        assert!(search.walk(br#"{"d":{"x":1}}"#).unwrap().elements.is_none());
        assert!(
            search
                .walk(br#"{"d":[]}"#)
                .unwrap()
                .elements
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn only_texts_numbers_and_booleans_are_scalars() {
        for (value, expect) in [
            (r#""a\"\u00fc""#, Some("a\"\u{fc}")),
            ("\"\"", Some("")),
            ("1.0e+2", Some("1.0e+2")),
            ("true", Some("true")),
            ("null", None),
            ("[1]", None),
            ("{}", None),
        ] {
            assert_eq!(scalar(value).as_deref(), expect, "{value}");
        }
    }

    proptest::proptest! {
        /// serde_json knows the grammar too, but takes duplicate names.
        #[test]
        fn serde_json_agrees(text in r#"([\[\]{},: ]|"a"|"b\\n"|"\\u00e9"|"\\ud83d\\ude00"|-|0|12|\.5|e3|true|null|\\|"){0,24}"#) {
            let ours = check(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (&ours, &theirs) {
                (Ok(_), Err(error)) => {
                    // Numbers beyond f64 are no concern of ours.
                    proptest::prop_assert!(error.to_string().contains("out of range"), "{text}: {error}");
                }
                (Err(why), Ok(_)) => proptest::prop_assert!(matches!(why, NotJson::DuplicateName(_)), "{text}: {why}"),
                _ => {}
            }
        }

        #[test]
        fn any_bytes_are_walked_to_their_end(bytes: Vec<u8>) {
            let _ = check(&bytes);
        }

        #[test]
        fn serde_json_finds_the_same(value in json(), pointer in "(/(a|b|0|1)){0,3}") {
            let text = serde_json::to_string(&value).unwrap();
            let found = at(&text, &pointer).map(|found| serde_json::from_str(&found).unwrap());
            proptest::prop_assert_eq!(found.as_ref(), value.pointer(&pointer));
        }
    }

    fn json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,4}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("a|b|c|0|1", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
