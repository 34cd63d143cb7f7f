//! The rules of templates, pointers and merged answers, for the fuzzer. Two other readers say whether they hold: the URL
//! library, and `serde_json`.
//!
//! `serde_json` differs in three ways that are meant: it goes down 127 levels and not 128, refuses numbers that no `f64` can
//! hold, and knows no byte order mark.

use std::borrow::Cow;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::Url;

use super::json::{self, NotJson};
use super::{
    Failure, FailureCode, Filling, Misshapen, Outcome, Pointer, Shape, Source, Template, Unfilled,
    merged,
};

/// What a URL says, by the URL library: its segments and its parameters, decoded.
#[derive(Debug, Eq, PartialEq)]
struct Said {
    segments: Vec<Vec<u8>>,
    parameters: Vec<(String, Option<Vec<u8>>)>,
}

impl Said {
    fn by(target: &str) -> Self {
        let url = Url::parse(&format!("http://api.test{target}"));
        let url = url.unwrap_or_else(|error| unreachable!("{target}: {error}"));
        assert_eq!(url.host_str(), Some("api.test"), "{target}");
        let plain = url.port().is_none() && url.username().is_empty() && url.fragment().is_none();
        assert!(plain, "{target}");
        let path = target.split('?').next();
        assert_eq!(Some(url.path()), path, "it stays as it is written");
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let segments = url.path_segments().into_iter().flatten().map(decoded);
        let pairs = url.query().into_iter().flat_map(|query| query.split('&'));
        let parameter = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(decoded(value))),
            None => (pair.to_owned(), None),
        };
        Self {
            segments: segments.collect(),
            parameters: pairs.map(parameter).collect(),
        }
    }

    /// The values, each with the place that it stands in.
    fn places(&self) -> impl Iterator<Item = Option<&Vec<u8>>> {
        let values = self.parameters.iter().map(|(_, value)| value.as_ref());
        self.segments.iter().map(Some).chain(values)
    }
}

/// Fills a template with these values, each placeholder with the next one. Whether the text is a template that can be filled.
///
/// # Panics
/// If a value changes anything but the segment or parameter it stands in, or does not arrive there as it is.
pub(crate) fn template(text: &str, values: &[&str]) -> bool {
    let Ok(template) = Template::parse(text) else {
        return false;
    };
    let in_path = template.in_path().count();
    let count = in_path + template.in_query().count();
    let Ok(base) = filled(&template, |_| "x") else {
        return false;
    };
    let before = Said::by(&base);
    for (at, value) in values.iter().take(8).enumerate().take(count) {
        match filled(&template, |now| if now == at { value } else { "x" }) {
            Ok(target) => arrived(&before, &Said::by(&target), value),
            Err(Unfilled::TooLong) => assert!(value.len() > 1000, "{text}: {value:?}"),
            Err(Unfilled::BadValue) => assert!(at < in_path, "a query takes any value: {text}"),
        }
    }
    let mut next = values.iter();
    let all = template.fill(|source| match (next.next(), source) {
        (Some(value), _) => Filling::Value(Cow::Borrowed(value)),
        (None, Source::Query(_)) => Filling::Omitted,
        (None, _) => Filling::Missing,
    });
    all.is_ok_and(|target| {
        let said = Said::by(&target);
        assert_eq!(said.segments.len(), before.segments.len(), "{target}");
        assert!(said.parameters.len() <= before.parameters.len(), "{target}");
        true
    })
}

fn filled<'v>(
    template: &Template<Source>,
    value: impl Fn(usize) -> &'v str,
) -> Result<String, Unfilled> {
    let mut at = 0..;
    template.fill(|_| Filling::Value(Cow::Borrowed(value(at.next().unwrap_or_default()))))
}

/// One `x` became the value, and nothing else changed.
fn arrived(before: &Said, after: &Said, value: &str) {
    let names = |said: &Said| {
        let names = said.parameters.iter();
        names.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(before), names(after), "{value:?}");
    assert_eq!(before.segments.len(), after.segments.len(), "{value:?}");
    let changed = before.places().zip(after.places());
    let changed: Vec<_> = changed.filter(|(was, is)| was != is).collect();
    match changed.as_slice() {
        [] => assert_eq!(value, "x"),
        [(Some(was), Some(is))] => {
            let fits = |at: usize| {
                let (head, tail) = was.split_at_checked(at)?;
                let tail = tail.strip_prefix(b"x")?;
                let is = is.strip_prefix(head)?.strip_suffix(tail)?;
                (is == value.as_bytes()).then_some(())
            };
            let found = (0..was.len()).any(|at| fits(at).is_some());
            assert!(found, "{was:?} became {is:?} by {value:?}");
        }
        more => assert_eq!(more.len(), 1, "{value:?} changed several places"),
    }
}

/// Finds what a pointer points to in a document. Whether both are good.
///
/// # Panics
/// If `serde_json` reads the document otherwise, or finds something else.
pub(crate) fn pointer(text: &str, document: &[u8]) -> bool {
    let Ok(pointer) = Pointer::parse(text) else {
        return false;
    };
    let mut shape = Shape::new(Some([("v", &pointer)]), None, None);
    let slot = shape.refer(&pointer);
    let body = Bytes::copy_from_slice(document);
    let kept = shape.keep(&body);
    let Some(value) = agreed(document, kept.as_ref().err().copied()) else {
        return kept.is_ok();
    };
    let Ok(kept) = kept else {
        return false;
    };
    let expected = value.pointer(text);
    // What is picked stands one level deeper than it was sent.
    if let Some(picked) = read(&kept.value) {
        assert_eq!(picked.get("v"), expected);
    }
    let referred = kept.referred.get(slot).and_then(Option::as_deref);
    let scalar = match expected {
        Some(Value::String(text)) => Some(text.clone()),
        Some(number @ Value::Number(_)) => {
            let digits = referred.and_then(|digits| serde_json::from_str(digits).ok());
            assert_eq!(digits.as_ref(), Some(number));
            referred.map(str::to_owned)
        }
        Some(Value::Bool(is)) => Some(is.to_string()),
        _ => None,
    };
    assert_eq!(referred, scalar.as_deref());
    elements(&pointer, &body, expected);
    true
}

/// The same pointer as `items`.
fn elements(pointer: &Pointer, body: &Bytes, expected: Option<&Value>) {
    const MOST: usize = 3;
    let shape = Shape::new(None::<[_; 0]>, Some(pointer), Some(MOST));
    let kept = shape.keep(body);
    match expected.and_then(Value::as_array) {
        Some(all) => {
            let kept = kept.map(|kept| (read(&kept.value), kept.elements.len()));
            let first: Vec<_> = all.iter().take(MOST).cloned().collect();
            let len = first.len();
            assert_eq!(kept, Ok((Some(Value::Array(first)), len)));
        }
        None => assert_eq!(kept.err(), Some(Misshapen::NoArray)),
    }
}

/// Puts answers together. Whether all of them are JSON.
///
/// # Panics
/// If what comes out is not one object with the value of each, or hides that one failed.
pub(crate) fn answers<'d>(documents: impl Iterator<Item = &'d [u8]>) -> bool {
    let whole = Shape::new(None::<[_; 0]>, None, None);
    let keep = |document: &'d [u8]| {
        let kept = whole.keep(&Bytes::copy_from_slice(document));
        (document, kept)
    };
    let all: Vec<_> = documents.take(8).map(keep).collect();
    let names: Vec<_> = (0..all.len()).map(|at| format!("p{at}")).collect();
    let outcome = |kept: &Result<super::Kept, Misshapen>| match kept {
        Ok(kept) => Ok(kept.value.clone()),
        Err(why) => Err(Failure::from(why.code())),
    };
    let parts = names.iter().zip(&all).map(|(name, (_, kept))| {
        let outcome = match outcome(kept) {
            Ok(value) => Outcome::Value(value),
            Err(failure) => Outcome::Failed(failure),
        };
        (name.as_str(), outcome)
    });
    let each = all.iter().map(|(_, kept)| outcome(kept)).collect();
    let mut parts: Vec<_> = parts.collect();
    parts.push(("q", Outcome::Each(each)));
    let text = merged(&parts).concat();
    let is_good = all.iter().all(|(_, kept)| kept.is_ok());
    let known = all.iter().map(|(document, kept)| {
        let value = agreed(document, kept.as_ref().err().copied());
        value.map_or_else(|| kept.is_err().then_some(Value::Null), Some)
    });
    // What only `serde_json` cannot read has been looked at above.
    let Some(values) = known.collect::<Option<Vec<Value>>>() else {
        return is_good;
    };
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(&text) else {
        let is_deep = matches!(walk(&text), Ok(()) | Err(NotJson::TooDeep(_)));
        assert!(is_deep, "{}", String::from_utf8_lossy(&text));
        return is_good;
    };
    let errors = answer.remove("_errors");
    assert_eq!(errors.is_none(), is_good, "{errors:?}");
    let mut expected: Map<String, Value> = names.iter().cloned().zip(values.clone()).collect();
    expected.insert("q".to_owned(), Value::Array(values));
    assert_eq!(answer, expected);
    for (name, (_, kept)) in names.iter().zip(&all) {
        let told = errors.as_ref().and_then(|errors| errors.get(name));
        let code = told.and_then(|told| told.get("code")?.as_str());
        let failed = kept.as_ref().err().map(|_| FailureCode::NotJson.as_str());
        assert_eq!(code, failed);
    }
    is_good
}

/// What both readers say of a document; `None` if one of them cannot read it, and may.
fn agreed(document: &[u8], why: Option<Misshapen>) -> Option<Value> {
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    match (why, serde_json::from_slice::<Value>(document)) {
        (None, Ok(value)) => Some(value),
        (None, Err(error)) => {
            let error = error.to_string();
            let is_meant = ["number out of range", "recursion limit"];
            assert!(is_meant.iter().any(|why| error.contains(why)), "{error}");
            None
        }
        (Some(Misshapen::NotJson(NotJson::DuplicateName(_))), Ok(value)) => {
            let Ok(Members(count)) = serde_json::from_slice(document) else {
                unreachable!("it was read before");
            };
            assert!(count > members(&value), "no name is there twice");
            None
        }
        (Some(_), Err(_)) => None,
        (Some(why), Ok(_)) => unreachable!("only serde_json reads it: {why}"),
    }
}

/// What was put together from pieces that both read; `None` if that is too deep for `serde_json`.
fn read(json: &[u8]) -> Option<Value> {
    let read = serde_json::from_slice(json);
    if let Err(error) = &read {
        let is_deep = error.to_string().contains("recursion limit");
        assert!(is_deep, "{error}: {}", String::from_utf8_lossy(json));
    }
    read.ok()
}

fn walk(bytes: &[u8]) -> Result<(), NotJson> {
    let nothing = super::wanted::Wanted::default();
    let search = json::Search {
        root: &nothing,
        slots: 0,
        element: &nothing,
        element_slots: 0,
        max_elements: 0,
    };
    search.walk(bytes).map(drop)
}

/// How many members all objects have together.
fn members(value: &Value) -> usize {
    match value {
        Value::Array(all) => all.iter().map(members).sum(),
        Value::Object(all) => all.len() + all.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// The same as they are written, names that are there twice too.
struct Members(usize);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counting).map(Self)
    }
}

struct Counting;

impl<'de> serde::de::Visitor<'de> for Counting {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<usize, E> {
        Ok(0)
    }

    fn visit_i64<E>(self, _: i64) -> Result<usize, E> {
        Ok(0)
    }

    fn visit_u64<E>(self, _: u64) -> Result<usize, E> {
        Ok(0)
    }

    fn visit_f64<E>(self, _: f64) -> Result<usize, E> {
        Ok(0)
    }

    fn visit_str<E>(self, _: &str) -> Result<usize, E> {
        Ok(0)
    }

    fn visit_unit<E>(self) -> Result<usize, E> {
        Ok(0)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(Members(below)) = all.next_element()? {
            count += below;
        }
        Ok(count)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut all: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some((_, Members(below))) = all.next_entry::<String, Members>()? {
            count += 1 + below;
        }
        Ok(count)
    }
}
