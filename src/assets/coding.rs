//! Content codings: which one a client wants, and what it makes of a file.
//!
//! # Spec
//! RFC 9110 §12.5.3 (`Accept-Encoding`), RFC 7932 (brotli), RFC 8878 (zstd), RFC 1952 (gzip).

use std::io::{self, Write as _};

use http::header::{ACCEPT_ENCODING, HeaderMap};

/// A coding. At equal weight an earlier one is preferred.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// As `Content-Encoding` names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What a file that is coded so has behind its name.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }

    /// Its place in a table.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Brotli => 0,
            Self::Zstd => 1,
            Self::Gzip => 2,
        }
    }

    /// Codes a file once, for everybody who asks later. Blocks: about a second for 4 MiB.
    pub(super) fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(bytes.len() / 3);
        match self {
            Self::Brotli => {
                let params = brotli::enc::BrotliEncoderParams {
                    quality: 9,
                    size_hint: bytes.len(),
                    ..Default::default()
                };
                let mut input = bytes;
                brotli::BrotliCompress(&mut input, &mut out, &params)?;
            }
            Self::Zstd => out = zstd::bulk::compress(bytes, 15)?,
            Self::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
                encoder.write_all(bytes)?;
                encoder.finish()?;
            }
        }
        Ok(out)
    }
}

/// What a client says of codings: weights in thousandths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Accepted {
    weights: [u16; 3],
    /// 0 unless the client prefers it to a coding.
    identity: u16,
}

impl Accepted {
    /// Reads `Accept-Encoding`. Without it, nothing is coded.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let mut accepted = Self::default();
        let (mut named, mut others) = ([false; 3], 0);
        for element in lines.flat_map(|line| line.split(',')) {
            let mut parts = element.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight =
                parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1000, thousandths);
            match name.as_str() {
                "*" => others = weight,
                "identity" => accepted.identity = weight,
                name => {
                    let coding = Coding::ALL.into_iter().find(|coding| {
                        coding.name() == name || *coding == Coding::Gzip && name == "x-gzip"
                    });
                    if let Some(coding) = coding {
                        let at = coding.index();
                        if let (Some(known), Some(slot)) =
                            (named.get_mut(at), accepted.weights.get_mut(at))
                        {
                            (*known, *slot) = (true, weight);
                        }
                    }
                }
            }
        }
        for (known, weight) in named.iter().zip(&mut accepted.weights) {
            if !known {
                *weight = others;
            }
        }
        accepted
    }

    /// The codings that the client takes and does not like less than the bare file, the best first.
    pub(super) fn best(self) -> impl Iterator<Item = Coding> {
        let mut liked: Vec<_> = Coding::ALL
            .into_iter()
            .zip(self.weights)
            .filter(|(_, weight)| *weight > 0 && *weight >= self.identity)
            .collect();
        // Stable: at equal weight the order of the table stands.
        liked.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        liked.into_iter().map(|(coding, _)| coding)
    }
}

/// A weight in thousandths (RFC 9110 §12.4.2). What is not one is 0: nothing is sent that was not clearly asked for.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 1000"
        )]
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::io::Read as _;

    #[test]
    fn the_best_coding_is_the_one_that_the_client_likes_best() {
        for (accept, expect) in [
            ("", &[][..]),
            ("gzip", &["gzip"]),
            ("gzip, deflate, br, zstd", &["br", "zstd", "gzip"]),
            ("gzip;q=1.0, br;q=0.5", &["gzip", "br"]),
            ("br;q=0, gzip", &["gzip"]),
            ("*", &["br", "zstd", "gzip"]),
            ("*;q=0", &[]),
            ("*;q=0.1, gzip", &["gzip", "br", "zstd"]),
            ("identity, br;q=0.5", &[]),
            ("identity;q=0.5, br;q=0.8", &["br"]),
            ("BR, X-GZIP", &["br", "gzip"]),
            ("br;q=nonsense, gzip;q=2", &[]),
            ("br ; q=0.3 , zstd;q=0.300", &["br", "zstd"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
            let best: Vec<_> = Accepted::of(&headers).best().map(Coding::name).collect();
            assert_eq!(best, expect, "{accept}");
        }
        assert_eq!(Accepted::of(&HeaderMap::new()).best().count(), 0);
    }

    #[test]
    fn what_is_coded_can_be_read() {
        let text = b"let answer = 42; ".repeat(1000);
        for coding in Coding::ALL {
            let coded = coding.compress(&text).unwrap();
            assert!(coded.len() < text.len() / 10, "{coding:?}: {}", coded.len());
            let mut read = Vec::new();
            match coding {
                Coding::Brotli => drop(
                    brotli::Decompressor::new(&coded[..], 4096)
                        .read_to_end(&mut read)
                        .unwrap(),
                ),
                Coding::Zstd => read = zstd::decode_all(&coded[..]).unwrap(),
                Coding::Gzip => drop(
                    flate2::read::GzDecoder::new(&coded[..])
                        .read_to_end(&mut read)
                        .unwrap(),
                ),
            }
            assert_eq!(read, text, "{coding:?}");
        }
    }
}
