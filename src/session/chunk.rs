//! One text in several cookies.
//!
//! # Invariants
//! - `join(split(text)) == text`, and a text has one division: every chunk but the last is full (C5).
//! - A chunk's value and the longest name a chunk can have fit the limit together (C1).
//! - How much is joined is bounded before a byte is copied.

use std::borrow::Cow;

/// Octets of name and value that a chunk takes up at most: room below the 4096 at which browsers drop a cookie, for
/// proxies that count attributes too (C1).
const CHUNK_BYTES: usize = 3800;
/// Octets of name and value that a browser keeps (RFC 6265bis §5.6).
const COOKIE_BYTES: usize = 4096;
/// Most chunks of one text.
const MAX_CHUNKS: u8 = 16;
/// Longest token of an app: it stands in a header, and in a form with other parameters.
const TOKEN_BYTES: usize = 12 * 1024;
/// The longest ending of a chunk's name.
const LONGEST_SUFFIX: usize = ".15".len();

/// How texts of one cookie name are divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Longest value of one cookie; not zero.
    capacity: usize,
    /// Most cookies that are written.
    most: u8,
    /// Most cookies that are read: what was written under a larger budget is still good.
    readable: u8,
}

impl Layout {
    /// Chunks called `name`, `name.1`, `name.2` …; no more than hold `max_bytes`.
    pub(super) fn chunks(name: &str, max_bytes: usize) -> Self {
        let capacity = CHUNK_BYTES
            .saturating_sub(name.len())
            .saturating_sub(LONGEST_SUFFIX)
            .max(1);
        let needed = max_bytes.div_ceil(capacity);
        Self {
            capacity,
            most: u8::try_from(needed).map_or(MAX_CHUNKS, |needed| needed.min(MAX_CHUNKS)),
            readable: MAX_CHUNKS,
        }
    }

    /// One cookie called `name`.
    pub(super) fn single(name: &str) -> Self {
        Self {
            capacity: COOKIE_BYTES.saturating_sub(name.len()).max(1),
            most: 1,
            readable: 1,
        }
    }

    /// One text that is no cookie.
    pub(super) const fn token() -> Self {
        Self {
            capacity: TOKEN_BYTES,
            most: 1,
            readable: 1,
        }
    }

    /// The longest chunk.
    pub(super) const fn capacity(self) -> usize {
        self.capacity
    }

    /// How many chunks a text of this length has; `None` if it is not written.
    pub(super) fn count(self, text_len: usize) -> Option<u8> {
        self.divided(text_len).filter(|count| *count <= self.most)
    }

    /// The same; `None` if it is not read.
    pub(super) fn divided(self, text_len: usize) -> Option<u8> {
        let count = u8::try_from(text_len.div_ceil(self.capacity)).ok()?;
        (1..=self.readable).contains(&count).then_some(count)
    }

    /// The length of chunk `index` of a text; zero beyond the last.
    pub(super) fn chunk_len(self, text_len: usize, index: u8) -> usize {
        text_len
            .saturating_sub(self.capacity.saturating_mul(usize::from(index)))
            .min(self.capacity)
    }

    /// The chunks of an ASCII text, first to last.
    pub(super) fn split(self, text: &str) -> impl Iterator<Item = (u8, &str)> {
        let mut rest = text;
        (0..self.most).map_while(move |index| {
            let (chunk, tail) = rest.split_at_checked(rest.len().min(self.capacity))?;
            rest = tail;
            (!chunk.is_empty()).then_some((index, chunk))
        })
    }

    /// The text of this length, if `chunk` has exactly its chunks.
    pub(super) fn join<'r>(
        self,
        text_len: usize,
        chunk: impl Fn(u8) -> Option<&'r [u8]>,
    ) -> Option<Cow<'r, [u8]>> {
        let count = self.divided(text_len)?;
        let exact = |index| chunk(index).filter(|c| c.len() == self.chunk_len(text_len, index));
        if count == 1 {
            return exact(0).map(Cow::Borrowed);
        }
        let mut text = Vec::with_capacity(text_len);
        for index in 0..count {
            text.extend_from_slice(exact(index)?);
        }
        Some(Cow::Owned(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "__Host-Http-shop";

    fn joined(layout: Layout, len: usize, chunks: &[&[u8]]) -> Option<Vec<u8>> {
        layout
            .join(len, |index| chunks.get(usize::from(index)).copied())
            .map(Cow::into_owned)
    }

    #[test]
    fn a_chunk_and_its_name_fit() {
        // C1
        let layout = Layout::chunks(NAME, 100_000);
        assert_eq!(layout.capacity + "__Host-Http-shop.15".len(), 3800);
        assert_eq!(Layout::single(NAME).capacity + NAME.len(), 4096);
        assert_eq!(layout.count(0), None);
        assert_eq!(layout.count(layout.capacity), Some(1));
        assert_eq!(layout.count(layout.capacity + 1), Some(2));
        assert_eq!(layout.count(layout.capacity * 16), Some(16));
        assert_eq!(layout.count(layout.capacity * 16 + 1), None);
        assert_eq!(Layout::chunks(NAME, 8192).most, 3);
        assert_eq!(Layout::chunks(NAME, 0).count(1), None);
        assert_eq!(
            Layout::chunks(NAME, 0).divided(layout.capacity * 16),
            Some(16)
        );
        assert_eq!(layout.divided(layout.capacity * 16 + 1), None);
    }

    #[test]
    fn chunks_of_other_lengths_are_not_joined() {
        // C5, C9
        let layout = Layout {
            capacity: 4,
            most: 3,
            readable: 3,
        };
        let good: [&[u8]; 3] = [b"abcd", b"efgh", b"ij"];
        assert_eq!(
            joined(layout, 10, &good).as_deref(),
            Some(&b"abcdefghij"[..])
        );
        for (len, chunks) in [
            (10, &[&b"abcd"[..], b"efgh"][..]),
            (10, &[b"abcd", b"efg", b"hij"]),
            (10, &[b"abcd", b"efgh", b"ijk"]),
            (9, &good),
            (11, &good),
            (0, &good),
            (13, &[b"abcd", b"efgh", b"ijkl", b"m"]),
            (usize::MAX, &good),
        ] {
            assert_eq!(joined(layout, len, chunks), None, "{len} {chunks:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_split_joins_again(text in "[A-Za-z0-9_-]{1,200}", capacity in 1..60_usize) {
            let layout = Layout { capacity, most: 200, readable: 200 };
            let chunks: Vec<&[u8]> = layout.split(&text).map(|(_, chunk)| chunk.as_bytes()).collect();
            prop_assert!(chunks.iter().all(|chunk| chunk.len() <= capacity));
            prop_assert_eq!(layout.count(text.len()).map(usize::from), Some(chunks.len()));
            prop_assert_eq!(joined(layout, text.len(), &chunks), Some(text.into_bytes()));
        }
    }
}
