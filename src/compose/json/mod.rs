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

mod cursor;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use self::cursor::Cursor;
pub use self::cursor::{MAX_DEPTH, NotJson, scalar};
use super::wanted::Wanted;

/// From how many members on the names of an object are looked up by a hash.
const MANY_MEMBERS: usize = 32;

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
            cursor: Cursor { text, at: start },
            names: Vec::new(),
            values: vec![None; self.slots],
            elements: None,
        };
        walk.cursor.space();
        let begin = walk.cursor.at;
        walk.value(
            Looking {
                root: Some(self.root),
                element: None,
            },
            0,
        )?;
        let whole = begin..walk.cursor.at;
        walk.cursor.space();
        if walk.cursor.at != text.len() {
            return Err(NotJson::Grammar(walk.cursor.at));
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
    cursor: Cursor<'t>,
    /// The names of the objects that are open, those of the innermost last.
    names: Vec<Cow<'t, str>>,
    values: Vec<Option<Range<usize>>>,
    elements: Option<Vec<Element>>,
}

impl<'w> Walk<'_, 'w> {
    fn value(&mut self, looking: Looking<'w>, depth: usize) -> Result<(), NotJson> {
        let begin = self.cursor.at;
        match self.cursor.peek() {
            Some(b'{') => self.object(looking, self.deeper(depth)?)?,
            Some(b'[') => self.array(looking, self.deeper(depth)?)?,
            Some(b'"') => {
                self.cursor.string()?;
            }
            Some(b'-' | b'0'..=b'9') => self.cursor.number()?,
            Some(b't') => self.cursor.word("true")?,
            Some(b'f') => self.cursor.word("false")?,
            Some(b'n') => self.cursor.word("null")?,
            _ => return self.cursor.wrong(),
        }
        let whole = begin..self.cursor.at;
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
            Err(NotJson::TooDeep(self.cursor.at))
        }
    }

    fn object(&mut self, looking: Looking<'w>, depth: usize) -> Result<(), NotJson> {
        self.cursor.expect(b'{')?;
        self.cursor.space();
        if self.cursor.takes(b'}') {
            return Ok(());
        }
        let first = self.names.len();
        let mut seen = HashSet::new();
        loop {
            let name = self.cursor.string()?.decoded();
            if !self.is_new(&name, first, &mut seen) {
                return Err(NotJson::DuplicateName(self.cursor.at));
            }
            let inner = if looking.is_over() {
                looking
            } else {
                looking.member(&name)
            };
            self.names.push(name);
            self.cursor.space();
            self.cursor.expect(b':')?;
            self.cursor.space();
            self.value(inner, depth)?;
            self.cursor.space();
            if !self.cursor.takes(b',') {
                break;
            }
            self.cursor.space();
        }
        self.names.truncate(first);
        self.cursor.expect(b'}')
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
        self.cursor.expect(b'[')?;
        self.cursor.space();
        if self.cursor.takes(b']') {
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
            let begin = self.cursor.at;
            self.value(inner, depth)?;
            let whole = begin..self.cursor.at;
            if is_noted
                && let Some(element) = self
                    .elements
                    .as_mut()
                    .and_then(|elements| elements.last_mut())
            {
                element.whole = whole;
            }
            index += 1;
            self.cursor.space();
            if !self.cursor.takes(b',') {
                break;
            }
            self.cursor.space();
        }
        self.cursor.expect(b']')
    }
}

fn note(values: &mut [Option<Range<usize>>], slot: usize, whole: &Range<usize>) {
    if let Some(value) = values.get_mut(slot) {
        *value = Some(whole.clone());
    }
}
