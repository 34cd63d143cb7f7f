//! What hyper does not tell about a request's head: framing headers that it merged or dropped, and a fragment in the target.
//!
//! A message may say its length twice, in one way or in two. hyper then follows RFC 9112 §6.3 and hides what it ignored. A
//! server between the client and us may have followed another rule and read another message (RFC 9112 §11.2). We refuse such
//! requests. To know them, [`Heads`] reads the bytes on their way to hyper, and counts the lines that frame a body.
//!
//! # Invariants
//! - A head is judged only if we know where it began: at the start of the connection, or right after a message whose end we
//!   know. Of a chunked body hyper alone knows the end. A head that came in one segment with it is [`Framing::Unseen`].

use std::collections::VecDeque;

/// The longest header name that we look for, with its colon.
const LONGEST: usize = "transfer-encoding:".len();

/// What a request's head says about its body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Head {
    lengths: u8,
    codings: u8,
    /// The value of `Content-Length`, if it is a number.
    length: Option<u64>,
    has_fragment: bool,
}

/// The verdict on one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    /// It can be read in one way only.
    Plain,
    /// Another server may read it in another way. Or its target has a fragment (RFC 9112 §3.2 allows none).
    Ambiguous,
    /// We do not know where its head began.
    Unseen,
}

/// How many complete heads may wait to be judged. If a client sends more of them ahead, we lose track.
const MOST: usize = 64;

/// Follows the bytes of a connection.
#[derive(Debug, Default)]
pub(super) struct Heads {
    at: At,
    head: Head,
    line: Line,
    /// Complete, and not yet judged.
    complete: VecDeque<Head>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum At {
    /// Before or in a request line.
    #[default]
    Request,
    Headers,
    /// In a body of so many bytes more.
    Body(u64),
    /// In something whose end only hyper knows, and whether the last bytes of it are an empty line.
    Lost(Blank),
}

/// Whether the last bytes are an empty line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blank {
    No,
    /// A line has ended.
    Begun,
    /// And another one has, which was empty.
    Yes,
}

impl Blank {
    fn then(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |blank, byte| match (byte, blank) {
            (b'\n', Self::No) => Self::Begun,
            (b'\n', _) => Self::Yes,
            (b'\r', blank) => blank,
            _ => Self::No,
        })
    }
}

/// The line that is being read.
#[derive(Debug, Default)]
struct Line {
    begin: [u8; LONGEST],
    len: usize,
    digits: Digits,
    has_hash: bool,
}

/// The value of a `Content-Length`, digit by digit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Digits {
    #[default]
    None,
    Some(u64),
    /// A number with white space behind it.
    Ended(u64),
    Bad,
}

impl Heads {
    /// Takes the bytes that go to hyper next.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.at {
                At::Lost(blank) => {
                    self.at = At::Lost(blank.then(bytes));
                    return;
                }
                At::Body(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(n..).unwrap_or_default();
                    let left = left.saturating_sub(n as u64);
                    self.at = if left == 0 {
                        At::Request
                    } else {
                        At::Body(left)
                    };
                }
                At::Request | At::Headers => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.line.push(line, self.at);
                    bytes = rest.get(1..).unwrap_or_default();
                    if end.is_some() {
                        self.end_line();
                    }
                }
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        match self.at {
            // Empty lines before a request are skipped (RFC 9112 §2.2).
            At::Request if line.is_empty() => {}
            At::Request => {
                self.head = Head {
                    has_fragment: line.has_hash,
                    ..Head::default()
                };
                self.at = At::Headers;
            }
            _ if line.is_empty() => {
                let head = self.head;
                self.at = match (head.codings, head.lengths, head.length) {
                    (0, 0, _) => At::Request,
                    (0, 1, Some(length)) => At::Body(length),
                    _ => At::Lost(Blank::Yes),
                };
                if self.at == At::Body(0) {
                    self.at = At::Request;
                }
                if self.complete.len() < MOST {
                    self.complete.push_back(head);
                } else {
                    self.at = At::Lost(Blank::Yes);
                }
            }
            _ if line.names(b"content-length:") => {
                self.head.lengths = self.head.lengths.saturating_add(1);
                self.head.length = match line.digits {
                    Digits::Some(length) | Digits::Ended(length) => Some(length),
                    Digits::None | Digits::Bad => None,
                };
            }
            _ if line.names(b"transfer-encoding:") => {
                self.head.codings = self.head.codings.saturating_add(1);
            }
            _ => {}
        }
    }

    /// Judges the next request that hyper has read. `has_framing`: hyper kept a header that frames a body.
    pub(super) fn judge(&mut self, has_framing: bool) -> Framing {
        let Some(head) = self.complete.pop_front() else {
            // hyper never drops the last framing header. So there was none, and the request has no body.
            return if has_framing {
                Framing::Unseen
            } else {
                Framing::Plain
            };
        };
        let lines = head.lengths.saturating_add(head.codings);
        if lines > 1 || head.has_fragment {
            Framing::Ambiguous
        } else {
            Framing::Plain
        }
    }

    /// Whether a body is not whole. After an empty line a chunked one may be.
    pub(super) fn is_amid_body(&self) -> bool {
        matches!(self.at, At::Body(_) | At::Lost(Blank::No | Blank::Begun))
    }

    /// Whether something of another request has come behind those that were judged.
    pub(super) fn are_ahead(&self) -> bool {
        match self.at {
            At::Request => self.line.len > 0 || !self.complete.is_empty(),
            At::Body(_) => !self.complete.is_empty(),
            // Where the messages end is not known, so it may be.
            At::Headers | At::Lost(_) => true,
        }
    }

    /// Nothing is being answered, and hyper asks for bytes. They begin a request, unless hyper holds half a head. Half a head
    /// never ends with an empty line.
    pub(super) fn rest(&mut self) {
        if self.at == At::Lost(Blank::Yes) {
            *self = Self::default();
        }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8], at: At) {
        if at == At::Request {
            self.has_hash |= bytes.contains(&b'#');
        }
        let mut bytes = bytes;
        if let Some(free) = self.begin.get_mut(self.len..) {
            let n = free.len().min(bytes.len());
            for (to, from) in free.iter_mut().zip(bytes) {
                *to = from.to_ascii_lowercase();
            }
            self.len = self.len.saturating_add(n);
            if !self.names(b"content-length:") {
                return;
            }
            // The name is shorter than `begin`, so the start of the value is in there.
            let begin = self.len.saturating_sub(n);
            let value = b"content-length:".len().saturating_sub(begin);
            bytes = bytes.get(value.min(bytes.len())..).unwrap_or_default();
        }
        if self.names(b"content-length:") {
            for byte in bytes {
                self.digits = self.digits.then(*byte);
            }
        }
    }

    fn names(&self, name: &[u8]) -> bool {
        self.begin
            .get(..self.len)
            .is_some_and(|begin| begin.starts_with(name))
    }

    fn is_empty(&self) -> bool {
        self.len == 0 || (self.len == 1 && self.begin.first() == Some(&b'\r'))
    }
}

impl Digits {
    fn then(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::None, b' ' | b'\t') => self,
            (Self::Some(length) | Self::Ended(length), b' ' | b'\t' | b'\r') => Self::Ended(length),
            (Self::None, b'0'..=b'9') => Self::Some(u64::from(byte - b'0')),
            (Self::Some(before), b'0'..=b'9') => before
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
                .map_or(Self::Bad, Self::Some),
            _ => Self::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts on each request of a connection, fed in pieces of every size.
    fn judge(bytes: &str, framed: &[bool]) -> Vec<Framing> {
        let verdicts = |size: usize| -> Vec<Framing> {
            let mut heads = Heads::default();
            for piece in bytes.as_bytes().chunks(size) {
                heads.pass(piece);
            }
            framed.iter().map(|framed| heads.judge(*framed)).collect()
        };
        let whole = verdicts(bytes.len());
        for size in 1..40 {
            assert_eq!(verdicts(size), whole, "in pieces of {size}: {bytes:?}");
        }
        whole
    }

    #[test]
    fn what_frames_a_body_may_stand_once() {
        // D8
        use Framing::{Ambiguous, Plain, Unseen};
        const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for (bytes, framed, expect) in [
            (GET.to_owned(), &[false][..], &[Plain][..]),
            (format!("{GET}\r\n{GET}"), &[false, false], &[Plain, Plain]),
            (
                format!("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello{GET}"),
                &[true, false],
                &[Plain, Plain],
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length:5\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
                &[true],
                &[Ambiguous],
            ),
            (
                "POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\ncontent-length: 5\r\n\r\n".to_owned(),
                &[true],
                &[Ambiguous],
            ),
            (
                "POST / HTTP/1.1\ncontent-length: 5\ntransfer-encoding: chunked\n\n".to_owned(),
                &[true],
                &[Ambiguous],
            ),
            (
                "POST / HTTP/1.1\r\nx-content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\n\
                 content-length: 1\r\ncontent-length: 1\r\n\r\na"
                    .to_owned(),
                &[true, true],
                &[Plain, Unseen],
            ),
            ("GET /a#b HTTP/1.1\r\n\r\n".to_owned(), &[false], &[Ambiguous]),
            (
                "GET /a HTTP/1.1\r\nx: #content-length: 1\r\n\r\n".to_owned(),
                &[false],
                &[Plain],
            ),
        ] {
            assert_eq!(judge(&bytes, framed), expect, "{bytes:?}");
        }
    }

    #[test]
    fn a_body_is_passed_over_by_its_length() {
        let request = |length: &str, body: &str| {
            format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        let inner = "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n";
        let length = inner.len().to_string();
        let both = request(&length, inner) + &request("1", "a");
        assert_eq!(judge(&both, &[true, true]), [Framing::Plain; 2]);
        // A length that hyper refuses ends the connection there; nothing behind it counts.
        for length in ["-1", "1 2", "99999999999999999999", "0x1", ""] {
            let mut heads = Heads::default();
            heads.pass((request(length, "a") + inner).as_bytes());
            assert_eq!(heads.judge(true), Framing::Plain);
            assert_eq!(heads.judge(true), Framing::Unseen, "{length}");
        }
    }

    #[test]
    fn a_connection_at_rest_begins_anew() {
        let mut heads = Heads::default();
        heads.pass(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        assert_eq!(heads.judge(true), Framing::Plain);
        heads.rest();
        heads.pass(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\na");
        assert_eq!(heads.judge(true), Framing::Plain);
    }

    #[test]
    fn half_a_head_behind_chunks_is_never_taken_for_a_whole_one() {
        // D8: the first half came with the body, the second by itself.
        let chunks = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        let next =
            "POST / HTTP/1.1\r\ncontent-length: 5\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n";
        for at in 0..=next.len() {
            let mut heads = Heads::default();
            heads.pass(format!("{chunks}{}", &next[..at]).as_bytes());
            assert_eq!(heads.judge(true), Framing::Plain);
            heads.rest();
            heads.pass(&next.as_bytes()[at..]);
            assert_ne!(heads.judge(true), Framing::Plain, "{at}");
        }
    }

    #[test]
    fn a_crowd_of_heads_is_not_kept() {
        let mut heads = Heads::default();
        heads.pass("G\n\n".repeat(100_000).as_bytes());
        assert_eq!(heads.complete.len(), MOST);
        for _ in 0..MOST {
            assert_eq!(heads.judge(false), Framing::Plain);
        }
        assert_eq!(heads.judge(true), Framing::Unseen);
    }
}
