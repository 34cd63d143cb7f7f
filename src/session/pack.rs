//! Text in fewer bytes: zstd with a dictionary that is part of the program.
//!
//! `envelope` states the [`Packing`] in the header, where it is authenticated; `encode` packs and unpacks.
//!
//! # Invariants
//! - Nothing is inflated to more than [`LIMIT`] bytes. The frame states its size, which is read before memory is taken
//!   for it, and zstd writes no more than that (E15).
//! - The meaning of a packing never changes, and neither does the file of a dictionary.
//!
//! # Spec
//! RFC 8878: one frame, with its content size, without a checksum (the AEAD has one) and without a dictionary's id (the
//! header has one). How the dictionary was made is in `dictionary/make.py`.
//!
//! # Dictionaries
//! An old dictionary is kept for as long as a cookie sealed with it can live: `absolute_timeout`, 400 days at most, from the
//! last release that wrote it. A new one gets a new [`Packing`]. One release reads it before the next release writes it,
//! because replicas of two releases run side by side. A dictionary is public, so it is not made from the tokens of one issuer.
//!
//! # Why
//! - The names of claims are half of a token, and they stand in the dictionary. A token alone repeats little. The dictionary also has
//!   entropy tables, so that none are sent along or built when a session is opened.
//! - Level 6: what higher levels save is under 2 %.

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CParameter, find_frame_compressed_size, get_frame_content_size};

use super::codec::Malformed;
use super::settings::Compression;
use crate::keyring::Erased;

/// Most bytes of a packed section when it is inflated.
pub(super) const LIMIT: usize = 64 * 1024;

const LEVEL: i32 = 6;

/// How a zstd frame begins (RFC 8878 §3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Flags in the byte that follows (RFC 8878 §3.1.1.1.1). They announce what the AEAD and the header have already.
const CHECKSUM: u8 = 0b100;
const DICTIONARY_ID: u8 = 0b011;

pub(super) static DICTIONARY_1: &[u8] = include_bytes!("dictionary/1.zdict");
static ENCODER_1: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));
static DECODER_1: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));

thread_local! {
    // A context takes some hundred KiB, and much time to set up. `None` if there is no memory for one.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(compressor().ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER_1).ok());
}

/// How a packed section is written; a byte of the header. Numbers are never reused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Packing {
    /// As it is.
    Plain,
    /// A zstd frame, with the first dictionary.
    Zstd1,
}

impl Packing {
    pub(super) const fn id(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd1 => 1,
        }
    }

    pub(super) const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Plain),
            1 => Some(Self::Zstd1),
            _ => None,
        }
    }

    /// In words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Zstd1 => "zstd, dictionary 1",
        }
    }
}

/// Compresses a section; `None` if that is not wanted, or saves nothing.
pub(super) fn pack(section: &[u8], compression: Compression) -> Option<Erased> {
    if compression == Compression::None || section.len() > LIMIT {
        return None;
    }
    // There is room for less than the section has. If the frame does not fit, compressing saves nothing.
    let mut frame = Erased::with_capacity(section.len());
    COMPRESSOR
        .with_borrow_mut(|compressor| {
            let compressor = compressor.as_mut()?;
            let written = compressor.compress_to_buffer(section, frame.as_vec());
            // What cannot be compressed does not fit.
            written.ok()
        })
        .filter(|written| *written < section.len())
        .map(|_| frame)
}

/// Inflates a frame.
pub(super) fn unpack(frame: &[u8]) -> Result<Erased, Malformed> {
    let descriptor = frame.get(MAGIC.len()).ok_or(Malformed)?;
    if descriptor & (CHECKSUM | DICTIONARY_ID) != 0 {
        return Err(Malformed);
    }
    // Neither a skippable frame nor anything after the one.
    if !frame.starts_with(&MAGIC) || find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(Malformed);
    }
    let size = match get_frame_content_size(frame) {
        Ok(Some(size)) => usize::try_from(size).map_err(|_| Malformed)?,
        Ok(None) | Err(_) => return Err(Malformed),
    };
    if size > LIMIT {
        return Err(Malformed);
    }
    let mut section = Erased::with_capacity(size);
    let written = DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = decompressor.as_mut().ok_or(Malformed)?;
        decompressor
            .decompress_to_buffer(frame, section.as_vec())
            .map_err(|_| Malformed)
    })?;
    if written == size {
        Ok(section)
    } else {
        Err(Malformed)
    }
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER_1)?;
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    Ok(compressor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn packed(section: &[u8]) -> Option<Vec<u8>> {
        pack(section, Compression::Zstd).map(|frame| frame.to_vec())
    }

    #[test]
    fn the_dictionary_is_the_one_that_sealed_cookies() {
        // E17. Fixed for ever: another dictionary is another file.
        let digest = Sha256::digest(DICTIONARY_1);
        let digest = digest
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(
            digest,
            "90eda30ee4dc4adc537111b0197cc4eb52f04c77e27bca34e61996e037de9b81"
        );
        assert_eq!(DICTIONARY_1[..8], [0x37, 0xa4, 0x30, 0xec, 1, 0, 1, 0]);
        let text = String::from_utf8_lossy(DICTIONARY_1);
        for name in [
            "iss",
            "sub",
            "preferred_username",
            "realm_access",
            "xms_ftd",
        ] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn claims_shrink_and_noise_stays_as_it_is() {
        let claims =
            br#"{"iss":"https://id.example.com","sub":"42","aud":"shop","email_verified":true}"#;
        let frame = packed(claims).unwrap();
        assert!(frame.len() < claims.len() * 7 / 10, "{}", frame.len());
        assert_eq!(unpack(&frame).unwrap().to_vec(), claims);
        assert_eq!(packed(b""), None);
        assert_eq!(packed(b"qzj~^|"), None);
        assert_eq!(pack(claims, Compression::None).map(|_| ()), None);
    }

    #[test]
    fn a_bomb_is_refused_before_memory_is_taken_for_it() {
        // E15
        let zeros = vec![0; LIMIT + 1];
        let mut compressor = compressor().unwrap();
        let bomb = compressor.compress(&zeros).unwrap();
        assert!(bomb.len() < 50);
        assert_eq!(unpack(&bomb), Err(Malformed), "one byte over the limit");
        assert_eq!(packed(&zeros), None, "nor is it written");
        let largest = compressor.compress(&zeros[1..]).unwrap();
        assert_eq!(unpack(&largest).unwrap().to_vec(), &zeros[1..]);

        // A frame that says less than it holds, or nothing, or is followed by another.
        let mut liar = compressor.compress(&zeros[..1000]).unwrap();
        assert!(matches!(get_frame_content_size(&liar), Ok(Some(1000))));
        assert_eq!(liar[5..7], (1000_u16 - 256).to_le_bytes());
        liar[5] -= 1;
        assert_eq!(unpack(&liar), Err(Malformed));
        liar[5] += 2;
        assert_eq!(unpack(&liar), Err(Malformed), "more than it holds");
        compressor
            .set_parameter(CParameter::ContentSizeFlag(false))
            .unwrap();
        let silent = compressor.compress(&zeros[..1000]).unwrap();
        assert_eq!(unpack(&silent), Err(Malformed), "no size");
        for (name, flag) in [
            ("checksum", CParameter::ChecksumFlag(true)),
            ("dictionary's id", CParameter::DictIdFlag(true)),
        ] {
            let mut compressor = super::compressor().unwrap();
            compressor.set_parameter(flag).unwrap();
            let frame = compressor.compress(&zeros[..1000]).unwrap();
            assert_eq!(unpack(&frame), Err(Malformed), "{name}");
        }
        let twice = [largest.as_slice(), &largest].concat();
        assert_eq!(unpack(&twice), Err(Malformed), "two frames");
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        assert_eq!(unpack(&skippable), Err(Malformed), "holds nothing");
        let followed = [largest.as_slice(), &skippable].concat();
        assert_eq!(unpack(&followed), Err(Malformed), "room for anything");
        assert_eq!(unpack(&[]), Err(Malformed));
    }

    #[test]
    fn numbers_of_packings_are_not_reused() {
        for id in 0..=255 {
            match Packing::from_id(id) {
                Some(packing) => assert_eq!(packing.id(), id),
                None => assert!(id > 1),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(section in "(\"[a-z_]{3,9}\":\"\\PC{0,30}\",?){1,30}") {
            if let Some(frame) = packed(section.as_bytes()) {
                prop_assert!(frame.len() < section.len());
                let unpacked = unpack(&frame).unwrap();
                prop_assert_eq!(&*unpacked, section.as_bytes());
            }
        }

        #[test]
        fn no_bytes_inflate_over_the_limit(change in any::<(prop::sample::Index, u8)>(), cut in any::<prop::sample::Index>(), junk: Vec<u8>) {
            let mut frame = packed(&[b"email".repeat(50), vec![b'x'; 3000]].concat()).unwrap();
            let at = change.0.index(frame.len());
            frame[at] = change.1;
            frame.truncate(cut.index(frame.len()) + 1);
            frame.extend_from_slice(&junk);
            for bytes in [frame, junk] {
                if let Ok(section) = unpack(&bytes) {
                    prop_assert!(section.len() <= LIMIT);
                }
            }
        }
    }
}
