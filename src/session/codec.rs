//! The primitives of the state encoding: bytes in one order, each value in one spelling.
//!
//! `encode`, `claims` and `token_text` write and read states with them. The formats are in the [module head](super).
//!
//! A state is written into two sections, and only one of them is compressed. Random bytes among text would make the
//! compression of both worse.
//!
//! # Invariants
//! - What [`Reader`] accepts, [`Writer`] writes: for every value there is exactly one sequence of bytes (E17).
//! - A reader never allocates more than the bytes it was given.
//! - What is written is erased when dropped.

use crate::clock::UnixTime;
use crate::keyring::Erased;

/// The widest padding.
pub(super) const MAX_PAD: usize = 4096;

/// Not a sequence of bytes that [`Writer`] writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// LEB128, in as few bytes as possible.
pub(super) fn put_number(bytes: &mut Erased, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(&[low]);
        }
        bytes.push(&[low | 0x80]);
    }
}

/// Zero bytes up to a multiple of `pad_to`.
pub(super) fn pad(bytes: &mut Erased, pad_to: usize) {
    let len = bytes.len().next_multiple_of(pad_to.max(1));
    while let missing @ 1.. = len - bytes.len() {
        bytes.push([0; 64].get(..missing).unwrap_or(&[0; 64]));
    }
}

/// The two sections of a state.
#[derive(Default)]
pub(super) struct Sections {
    /// What compresses: text and its lengths.
    pub(super) packed: Erased,
    /// What does not compress: times, ids, signatures.
    pub(super) loose: Erased,
}

/// Appends values.
pub(super) struct Writer {
    sections: Sections,
    fits: bool,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            sections: Sections::default(),
            fits: true,
        }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.sections.packed.len() + self.sections.loose.len()
    }

    /// How many of them are in the packed section.
    pub(super) fn packed_len(&self) -> usize {
        self.sections.packed.len()
    }

    /// Loose bytes as they are.
    pub(super) fn loose(&mut self, bytes: &[u8]) {
        self.sections.loose.push(bytes);
    }

    /// Packed bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.sections.packed.push(bytes);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.raw(&[byte]);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(super) fn number(&mut self, number: u64) {
        put_number(&mut self.sections.packed, number);
    }

    pub(super) fn time(&mut self, time: UnixTime) {
        put_number(&mut self.sections.loose, time.as_secs());
    }

    /// The length. Over `limit`, [`finish`](Self::finish) will refuse.
    pub(super) fn length(&mut self, limit: usize, len: usize) {
        self.require(len <= limit);
        self.number(len as u64);
    }

    /// The length, then the bytes.
    pub(super) fn bytes(&mut self, limit: usize, bytes: &[u8]) {
        self.length(limit, bytes.len());
        self.raw(bytes);
    }

    /// 0, or 1 and the value.
    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Notes a condition that a reader will insist on.
    pub(super) fn require(&mut self, condition: bool) {
        self.fits &= condition;
    }

    /// The sections. `Err` has the length of a value that is over its limit.
    pub(super) fn finish(self) -> Result<Sections, usize> {
        let len = self.len();
        if self.fits {
            Ok(self.sections)
        } else {
            Err(len)
        }
    }
}

/// Takes values off the front of both sections.
pub(super) struct Reader<'b> {
    packed: Cursor<'b>,
    loose: Cursor<'b>,
}

impl<'b> Reader<'b> {
    pub(super) const fn new(packed: &'b [u8], loose: &'b [u8]) -> Self {
        Self {
            packed: Cursor(packed),
            loose: Cursor(loose),
        }
    }

    /// `len` loose bytes.
    pub(super) fn loose(&mut self, len: usize) -> Result<&'b [u8], Malformed> {
        self.loose.raw(len)
    }

    pub(super) fn loose_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.loose.array()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.packed.array()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.packed.array().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        self.packed.number()
    }

    pub(super) fn time(&mut self) -> Result<UnixTime, Malformed> {
        self.loose.number().map(UnixTime::from_secs)
    }

    pub(super) fn length(&mut self, limit: usize) -> Result<usize, Malformed> {
        self.packed.length(limit)
    }

    pub(super) fn bytes(&mut self, limit: usize) -> Result<&'b [u8], Malformed> {
        let len = self.length(limit)?;
        self.packed.raw(len)
    }

    pub(super) fn text(&mut self, limit: usize) -> Result<&'b str, Malformed> {
        std::str::from_utf8(self.bytes(limit)?).map_err(|_| Malformed)
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        self.flag()?.then(|| read(self)).transpose()
    }

    /// Whether no packed byte is left.
    pub(super) const fn is_packed_used_up(&self) -> bool {
        self.packed.0.is_empty()
    }

    /// Checks that nothing follows, except for the padding of the loose section.
    pub(super) fn finish(self) -> Result<&'b [u8], Malformed> {
        if self.is_packed_used_up() {
            Ok(self.loose.0)
        } else {
            Err(Malformed)
        }
    }
}

/// Takes values off the front of one sequence of bytes.
pub(super) struct Cursor<'b>(pub(super) &'b [u8]);

impl<'b> Cursor<'b> {
    pub(super) fn raw(&mut self, len: usize) -> Result<&'b [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let group = u64::from(byte & 0x7f);
            let shifted = group << shift;
            // The tenth byte has room for one bit.
            if shifted >> shift != group {
                return Err(Malformed);
            }
            number |= shifted;
            if byte < 0x80 {
                // A last group of zero is not the shortest spelling.
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(number) } else { Err(Malformed) };
            }
        }
        Err(Malformed)
    }

    /// A number that is at most `limit`.
    pub(super) fn length(&mut self, limit: usize) -> Result<usize, Malformed> {
        let len = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if len > limit {
            return Err(Malformed);
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_has_one_spelling() {
        // E17
        for (number, bytes) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ] {
            let mut written = Erased::default();
            put_number(&mut written, number);
            assert_eq!(&*written, bytes);
            assert_eq!(Cursor(bytes).number(), Ok(number));
        }
        for bad in [
            &[][..],
            &[0x80],
            &[0x80, 0],
            &[0xff, 0x80, 0],
            &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            &[128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1],
        ] {
            assert_eq!(Cursor(bad).number(), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_reader_stops_at_limits_and_ends() {
        let read = |bytes: &[u8], limit| Reader::new(bytes, &[]).text(limit).map(str::to_owned);
        assert_eq!(read(b"\x02ab", 2), Ok("ab".to_owned()));
        assert_eq!(read(b"\x02ab", 1), Err(Malformed), "over the limit");
        assert_eq!(read(b"\x03ab", 9), Err(Malformed), "cut short");
        assert_eq!(read(b"\x02\xff\xfe", 9), Err(Malformed), "not UTF-8");
        assert_eq!(Reader::new(&[2], &[]).flag(), Err(Malformed));
        assert_eq!(Reader::new(&[2], &[]).finish(), Err(Malformed));
        assert_eq!(Reader::new(&[], &[0]).finish(), Ok(&[0][..]));
    }

    #[test]
    fn what_is_over_a_limit_is_not_written() {
        let mut writer = Writer::new();
        writer.bytes(3, b"four");
        assert_eq!(writer.finish().map(|_| ()), Err(5));
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(number: u64) {
            let mut written = Erased::default();
            put_number(&mut written, number);
            prop_assert_eq!(Cursor(&written).number(), Ok(number));
        }

        #[test]
        fn what_is_written_is_read_and_padded_with_zeros(text: Vec<u8>, loose: Vec<u8>, pad_to in 1..300_usize) {
            let mut writer = Writer::new();
            writer.bytes(1000, &text);
            writer.loose(&loose);
            let sections = writer.finish().unwrap();
            let mut reader = Reader::new(&sections.packed, &sections.loose);
            prop_assert_eq!(reader.bytes(1000), Ok(text.as_slice()));
            prop_assert_eq!(reader.loose(loose.len()), Ok(loose.as_slice()));
            prop_assert_eq!(reader.finish(), Ok(&[][..]));
            let mut padded = sections.loose;
            pad(&mut padded, pad_to);
            prop_assert_eq!(padded.len() % pad_to, 0);
            prop_assert!(padded.len() < loose.len() + pad_to);
            prop_assert!(padded[loose.len()..].iter().all(|byte| *byte == 0));
        }
    }
}
