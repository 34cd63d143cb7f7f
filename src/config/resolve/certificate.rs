//! Doubts about `server.tls`: files that work here, but that browsers refuse or that others can read.
//!
//! # Spec
//! RFC 5280 §4.1.2.5 (validity), RFC 6125 (names).

use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

use crate::clock::UnixTime;
use crate::config::resolved::TlsFiles;
use crate::names::Origin;

/// Warns of certificates that are not valid now or not for an origin, and of a key that others can read.
pub(super) fn doubts<'o>(
    files: &TlsFiles,
    origins: impl Iterator<Item = &'o Origin>,
    now: UnixTime,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let chain = &files.pair.cert;
    let cert = files.cert.display().to_string();
    let cert = cert.escape_debug();
    for (index, certificate) in chain.iter().enumerate() {
        let which = match index {
            0 => "the certificate".to_owned(),
            _ => format!("certificate {} of the chain", index.saturating_add(1)),
        };
        let Some((from, until)) = validity(certificate) else {
            continue;
        };
        if from > now {
            doubts.push(format!(
                "server.tls.cert: {which} in {cert} is valid only from {}: correct the clock, or use another certificate",
                in_words(from)
            ));
        } else if until < now {
            doubts.push(format!(
                "server.tls.cert: {which} in {cert} expired at {}: renew it",
                in_words(until)
            ));
        }
    }
    for origin in origins {
        if chain.first().is_some_and(|leaf| !is_for(leaf, origin)) {
            doubts.push(format!(
                "server.tls.cert: the certificate in {cert} is not for {origin}, and browsers will refuse it: use one that \
                 has this name"
            ));
        }
    }
    let mode = std::fs::metadata(&files.key).map_or(0, |metadata| metadata.mode() & 0o7777);
    if mode & 0o006 != 0 || mode & 0o020 != 0 {
        let key = files.key.display().to_string();
        let key = key.escape_debug();
        doubts.push(format!(
            "server.tls.key: the file {key} has mode {mode:04o}: other users can read or change it; chmod 600 is better"
        ));
    }
    doubts
}

/// The earliest end of these certificates.
pub(super) fn expires_at(chain: &[CertificateDer<'_>]) -> Option<UnixTime> {
    let ends = chain.iter().filter_map(validity).map(|(_, until)| until);
    ends.min()
}

fn is_for(leaf: &CertificateDer<'_>, origin: &Origin) -> bool {
    let host = origin.host().trim_matches(['[', ']']);
    let Ok(name) = ServerName::try_from(host) else {
        return false;
    };
    // A certificate that cannot be parsed was refused before.
    EndEntityCert::try_from(leaf)
        .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

fn in_words(at: UnixTime) -> String {
    let second = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(second)
        .map_or_else(|_| "the end of time".to_owned(), |at| at.to_string())
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The end of a certificate that does not end (RFC 5280 §4.1.2.5).
const NEVER: &str = "99991231235959Z";
/// The version; certificates of version 1 have none.
const VERSION: u8 = 0xa0;

/// The first and the last moment at which a certificate is valid; `None` if it does not follow RFC 5280.
fn validity(certificate: &CertificateDer<'_>) -> Option<(UnixTime, UnixTime)> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(certificate)?;
    if let Some((VERSION, _, behind)) = element(rest) {
        rest = behind;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (_, validity, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (from_tag, from, rest) = element(validity)?;
    let (until_tag, until, _) = element(rest)?;
    Some((time(from_tag, from)?, time(until_tag, until)?))
}

/// Tag and content of the first element in DER, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = bytes else {
        return None;
    };
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // Three bytes are enough for 16 MiB; certificates are shorter.
        let len = match len {
            [a] => usize::from(*a),
            [a, b] => usize::from(*a) << 8 | usize::from(*b),
            [a, b, c] => usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            _ => return None,
        };
        (len, rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` before 2050, `YYYYMMDDHHMMSSZ` from then on.
fn time(tag: u8, text: &[u8]) -> Option<UnixTime> {
    let text = str::from_utf8(text).ok()?;
    if tag == GENERALIZED_TIME && text == NEVER {
        return Some(UnixTime::from_secs(u64::MAX));
    }
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let century = if year < "50" { "20" } else { "19" };
            (format!("{century}{year}"), rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    let (date, clock) = rest.strip_suffix('Z')?.split_at_checked(4)?;
    let at: Timestamp = format!("{year}{date}T{clock}Z").parse().ok()?;
    // A time before 1970 counts as 1970: both are long ago.
    Some(UnixTime::from_secs(
        u64::try_from(at.as_second()).unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_both_forms_are_read() {
        for (tag, text, expect) in [
            (UTC_TIME, "261126120000Z", Some("2026-11-26T12:00:00Z")),
            (UTC_TIME, "500101000000Z", Some("1970-01-01T00:00:00Z")),
            (
                GENERALIZED_TIME,
                "20510101000000Z",
                Some("2051-01-01T00:00:00Z"),
            ),
            (GENERALIZED_TIME, NEVER, Some("the end of time")),
            (UTC_TIME, "261126120000", None),
            (UTC_TIME, "", None),
            (UTC_TIME, "ü", None),
            (SEQUENCE, "261126120000Z", None),
        ] {
            let read = time(tag, text.as_bytes()).map(in_words);
            assert_eq!(read.as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_a_certificate_have_no_validity() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x80",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x02\x30\x00",
        ] {
            assert_eq!(validity(&CertificateDer::from(bytes)), None, "{bytes:?}");
        }
    }
}
