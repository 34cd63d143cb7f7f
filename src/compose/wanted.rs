//! What is wanted of a JSON document: pointers, put together into a tree that a reader walks along.

use super::Pointer;

/// Where a value that was found is noted; the caller numbers its slots.
pub type Slot = usize;

/// The pointers that somebody wants, as a tree.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    slots: Vec<Slot>,
    below: Vec<(String, Wanted)>,
    /// The elements of this array are looked at one by one.
    has_elements: bool,
}

impl Wanted {
    /// Wants the value at a pointer, and notes it in this slot.
    pub fn want(&mut self, pointer: &Pointer, slot: Slot) {
        self.at(pointer).slots.push(slot);
    }

    /// Wants the elements of the array at a pointer.
    pub fn want_elements(&mut self, pointer: &Pointer) {
        self.at(pointer).has_elements = true;
    }

    fn at(&mut self, pointer: &Pointer) -> &mut Self {
        let mut node = self;
        for name in pointer.names() {
            let at = node.below.iter().position(|(known, _)| known == name);
            let at = at.unwrap_or_else(|| {
                node.below.push((name.to_owned(), Self::default()));
                node.below.len() - 1
            });
            // It was found, or pushed just now.
            #[expect(clippy::indexing_slicing, reason = "the index was found or made above")]
            let next = &mut node.below[at].1;
            node = next;
        }
        node
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) const fn has_elements(&self) -> bool {
        self.has_elements
    }

    pub(super) const fn is_leaf(&self) -> bool {
        self.below.is_empty()
    }

    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.below
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, node)| node)
    }

    /// The node for an element of an array: a name of digits without leading zeros (RFC 6901 §4).
    pub(super) fn element(&self, index: usize) -> Option<&Self> {
        let is_index =
            |name: &str| (name == "0" || !name.starts_with('0')) && name.parse() == Ok(index);
        let node = self
            .below
            .iter()
            .find(|(name, _)| name.bytes().all(|b| b.is_ascii_digit()) && is_index(name));
        node.map(|(_, node)| node)
    }
}
