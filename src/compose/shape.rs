//! What a part keeps of an API's answer.
//!
//! # Invariants
//! - What is kept is the JSON text that the API sent: digits, escapes and the order of members stay.
//! - Of an answer that is read, only what goes to the frontend and what other parts need stays in memory.

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::json::{self, Element, NotJson, Search};
use super::wanted::{Slot, Wanted};
use super::{FailureCode, Pointer};

/// The form that a part gives to an answer, and the values that others take from it.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Members of the new object, in order: the name with its colon as JSON, and where the value is noted.
    pick: Option<Vec<(String, Slot)>>,
    items: bool,
    max_items: usize,
    root: Wanted,
    /// Which slots of `root` others refer to.
    slots: Vec<Role>,
    element: Wanted,
    element_slots: Vec<Role>,
}

/// What a slot is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// A member of the answer.
    Picked,
    /// A value that fills a placeholder.
    Referred,
}

/// Why an answer has not the form that the part needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misshapen {
    /// It is not JSON with one meaning.
    #[error("the answer is not usable as JSON: {0}")]
    NotJson(#[from] NotJson),
    /// There is no array where `items` points to.
    #[error("items points to something that is not an array")]
    NoArray,
}

impl Misshapen {
    /// The code that says so.
    pub const fn code(self) -> FailureCode {
        match self {
            Self::NotJson(_) => FailureCode::NotJson,
            Self::NoArray => FailureCode::BadValue,
        }
    }
}

/// What is left of an answer.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The member's value: JSON text.
    pub value: Bytes,
    /// For each slot that others refer to: the text of the scalar, if there is one.
    pub referred: Vec<Option<String>>,
    /// The same for each element of `items`.
    pub elements: Vec<Vec<Option<String>>>,
}

impl Shape {
    /// All of the answer, or only members that are picked: a new name, and a pointer into the answer. With `items` the
    /// value is that array, cut after `max_items`, and `pick` is about each of its elements.
    pub fn new<'p>(
        pick: Option<impl IntoIterator<Item = (&'p str, &'p Pointer)>>,
        items: Option<&Pointer>,
        max_items: Option<usize>,
    ) -> Self {
        let mut shape = Self {
            pick: None,
            items: items.is_some(),
            max_items: max_items.unwrap_or(usize::MAX),
            root: Wanted::default(),
            slots: Vec::new(),
            element: Wanted::default(),
            element_slots: Vec::new(),
        };
        if let Some(items) = items {
            shape.root.want_elements(items);
        }
        shape.pick = pick.map(|members| {
            let member = |(name, pointer): (&str, &Pointer)| {
                // The name of a member is a JSON string (RFC 8259 §4).
                let name = format!("{}:", serde_json::Value::from(name));
                let slot = if shape.items {
                    want(
                        &mut shape.element,
                        &mut shape.element_slots,
                        pointer,
                        Role::Picked,
                    )
                } else {
                    want(&mut shape.root, &mut shape.slots, pointer, Role::Picked)
                };
                (name, slot)
            };
            members.into_iter().map(member).collect()
        });
        shape
    }

    /// Whether the answer has elements that another part can go over.
    pub const fn has_items(&self) -> bool {
        self.items
    }

    /// Notes that another part takes a value from this one's whole answer. Where it is found in [`Kept::referred`].
    pub fn refer(&mut self, pointer: &Pointer) -> Slot {
        want(&mut self.root, &mut self.slots, pointer, Role::Referred)
    }

    /// Notes that another part takes a value from each element. Where it is found in each of [`Kept::elements`].
    pub fn refer_to_element(&mut self, pointer: &Pointer) -> Slot {
        want(
            &mut self.element,
            &mut self.element_slots,
            pointer,
            Role::Referred,
        )
    }

    /// Reads an answer once, and keeps what is wanted.
    pub fn keep(&self, body: &Bytes) -> Result<Kept, Misshapen> {
        let search = Search {
            root: &self.root,
            slots: self.slots.len(),
            element: &self.element,
            element_slots: self.element_slots.len(),
            max_elements: if self.items { self.max_items } else { 0 },
        };
        let found = search.walk(body)?;
        let elements = match found.elements {
            None if self.items => return Err(Misshapen::NoArray),
            elements => elements.unwrap_or_default(),
        };
        let referred = scalars(&self.slots, &found.values, body);
        let of_element = |element: &Element| scalars(&self.element_slots, &element.values, body);
        let is_referred = self.element_slots.contains(&Role::Referred);
        let referred_elements = if is_referred {
            elements.iter().map(of_element).collect()
        } else {
            vec![Vec::new(); elements.len()]
        };
        let value = if self.items {
            self.array(&elements, body)
        } else {
            match &self.pick {
                None => body.slice(found.whole),
                Some(pick) => {
                    let mut out = BytesMut::new();
                    object(pick, &found.values, body, &mut out);
                    out.freeze()
                }
            }
        };
        Ok(Kept {
            value,
            referred,
            elements: referred_elements,
        })
    }

    fn array(&self, elements: &[Element], body: &Bytes) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(b'[');
        for (at, element) in elements.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            match &self.pick {
                None => out.put_slice(text(body, &element.whole)),
                Some(pick) => object(pick, &element.values, body, &mut out),
            }
        }
        out.put_u8(b']');
        out.freeze()
    }
}

impl Kept {
    /// The value of an answer without content.
    pub fn null() -> Self {
        Self {
            value: Bytes::from_static(b"null"),
            ..Self::default()
        }
    }
}

fn want(tree: &mut Wanted, slots: &mut Vec<Role>, pointer: &Pointer, role: Role) -> Slot {
    let slot = slots.len();
    slots.push(role);
    tree.want(pointer, slot);
    slot
}

fn text<'b>(body: &'b Bytes, range: &Range<usize>) -> &'b [u8] {
    body.get(range.clone()).unwrap_or_default()
}

/// The members that were found; a pointer to nothing leaves its member out.
fn object(
    pick: &[(String, Slot)],
    values: &[Option<Range<usize>>],
    body: &Bytes,
    out: &mut BytesMut,
) {
    let mut separator = b'{';
    for (name, slot) in pick {
        if let Some(Some(range)) = values.get(*slot) {
            out.put_u8(separator);
            out.put_slice(name.as_bytes());
            out.put_slice(text(body, range));
            separator = b',';
        }
    }
    if separator == b'{' {
        out.put_u8(b'{');
    }
    out.put_u8(b'}');
}

fn scalars(roles: &[Role], values: &[Option<Range<usize>>], body: &Bytes) -> Vec<Option<String>> {
    let scalar = |(role, range): (&Role, &Option<Range<usize>>)| {
        let range = range.as_ref().filter(|_| *role == Role::Referred)?;
        let text = std::str::from_utf8(text(body, range)).ok()?;
        json::scalar(text).map(std::borrow::Cow::into_owned)
    };
    if !roles.contains(&Role::Referred) {
        return Vec::new();
    }
    roles.iter().zip(values).map(scalar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn shape(pick: &[(&str, &str)], items: Option<&str>, max_items: Option<usize>) -> Shape {
        let pick: Vec<_> = pick.iter().map(|(name, at)| (*name, pointer(at))).collect();
        let picked = (!pick.is_empty()).then(|| pick.iter().map(|(name, at)| (*name, at)));
        Shape::new(picked, items.map(pointer).as_ref(), max_items)
    }

    fn value(shape: &Shape, body: &'static str) -> Result<String, Misshapen> {
        let kept = shape.keep(&Bytes::from_static(body.as_bytes()))?;
        Ok(String::from_utf8(kept.value.to_vec()).unwrap())
    }

    #[test]
    fn the_text_stays_as_it_was_sent() {
        let body = " {\"b\": 1.0, \"a\": [10000000000000000000001, \"\\u00fc\"]}\n";
        assert_eq!(value(&shape(&[], None, None), body).unwrap(), body.trim());
        let picked = shape(
            &[
                ("n", "/a/0"),
                ("\"q\"", "/a/1"),
                ("x", "/missing"),
                ("f", "/b"),
            ],
            None,
            None,
        );
        assert_eq!(
            value(&picked, body).unwrap(),
            r#"{"n":10000000000000000000001,"\"q\"":"\u00fc","f":1.0}"#
        );
        assert_eq!(value(&picked, "null").unwrap(), "{}");
    }

    #[test]
    fn items_are_cut_and_picked_from() {
        let body = r#"{"data":[{"id":1,"x":{"y":2}},{"id":3},{"id":4}]}"#;
        assert_eq!(
            value(&shape(&[], Some("/data"), Some(2)), body).unwrap(),
            r#"[{"id":1,"x":{"y":2}},{"id":3}]"#
        );
        assert_eq!(
            value(&shape(&[("y", "/x/y")], Some("/data"), None), body).unwrap(),
            r#"[{"y":2},{},{}]"#
        );
        assert_eq!(value(&shape(&[], Some(""), None), "[]").unwrap(), "[]");
        assert_eq!(
            value(&shape(&[], Some("/data"), Some(0)), body).unwrap(),
            "[]"
        );
        assert_eq!(
            value(&shape(&[], Some("/none"), None), body),
            Err(Misshapen::NoArray)
        );
        assert_eq!(
            value(&shape(&[], Some(""), None), body),
            Err(Misshapen::NoArray)
        );
    }

    #[test]
    fn others_get_scalars_from_the_whole_answer_and_from_elements() {
        let mut shape = shape(&[("id", "/id")], Some("/data"), Some(1));
        let total = shape.refer(&pointer("/total"));
        let object = shape.refer(&pointer("/data"));
        let sku = shape.refer_to_element(&pointer("/sku"));
        let body = r#"{"total":2.50,"data":[{"id":1,"sku":"a\/b"},{"sku":"c"}]}"#;
        let kept = shape.keep(&Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(kept.value, r#"[{"id":1}]"#);
        assert_eq!(kept.referred[total].as_deref(), Some("2.50"));
        assert_eq!(kept.referred[object], None);
        assert_eq!(kept.elements.len(), 1);
        assert_eq!(kept.elements[0][sku].as_deref(), Some("a/b"));
    }
}
