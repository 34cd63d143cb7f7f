//! What is JSON with one meaning, and where pointers lead in it.

use std::ops::Range;

use super::*;
use crate::compose::Pointer;

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
    let document = r#" {"a": {"b": [1.50, {"c": "\u00fc"}], "": null}, "n": 1e400, "~/": true} "#;
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
