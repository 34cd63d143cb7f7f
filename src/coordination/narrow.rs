//! A connection to the store that keeps out long values.
//!
//! The library holds a whole answer in memory before we see it, so a value that is too long must not reach it. `reach` puts
//! [`Narrow`] between the library and the socket. It reads the store's protocol only as far as it needs to know lengths.
//!
//! # Invariants
//! - A value over [`Limits::bytes`], or a list over [`Limits::items`], becomes a null. Its bytes are dropped as they come.
//! - Everything else passes unchanged. Bytes that are not RESP end the connection.
//!
//! # Spec
//! RESP, versions 2 and 3: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read from the socket at a time.
const PIECE: usize = 8 * 1024;

/// The longest line: an error in words, or a length.
const MAX_LINE: usize = 4 * 1024;

/// The limits for what passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most bytes of a value.
    pub(super) bytes: u64,
    /// The most items of a list. A map counts keys and values.
    pub(super) items: u64,
}

/// How many bytes have come so far. It tells a slow answer from one that has stopped.
pub(super) type Heard = Arc<AtomicU64>;

/// The connection, read through the limits.
pub(super) struct Narrow<S> {
    stream: S,
    filter: Filter,
    piece: Box<[u8]>,
    passed: BytesMut,
    heard: Heard,
}

impl<S> Narrow<S> {
    pub(super) fn new(stream: S, limits: Limits, heard: Heard) -> Self {
        Self {
            stream,
            filter: Filter::new(limits),
            piece: vec![0; PIECE].into_boxed_slice(),
            passed: BytesMut::new(),
            heard,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Narrow<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.passed.is_empty() {
            let mut piece = ReadBuf::new(&mut this.piece);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut piece))?;
            let read = piece.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let len = u64::try_from(read.len()).unwrap_or(u64::MAX);
            this.heard.fetch_add(len, Ordering::Relaxed);
            this.filter.pass(read, &mut this.passed)?;
        }
        let len = this.passed.len().min(buf.remaining());
        buf.put_slice(&this.passed.copy_to_bytes(len));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Narrow<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

struct Filter {
    limits: Limits,
    line: Vec<u8>,
    /// How many bytes of a value are still to come, with its line end, and whether they pass.
    value: Option<(u64, bool)>,
    /// How many values of a list that was too long are still to be dropped.
    unwanted: u64,
}

impl Filter {
    const fn new(limits: Limits) -> Self {
        Self {
            limits,
            line: Vec::new(),
            value: None,
            unwanted: 0,
        }
    }

    fn pass(&mut self, mut read: &[u8], out: &mut BytesMut) -> io::Result<()> {
        while !read.is_empty() {
            if let Some((left, passes)) = self.value {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(read.len());
                let (value, rest) = read.split_at(len);
                if passes {
                    out.extend_from_slice(value);
                }
                let left = left - u64::try_from(len).unwrap_or(left);
                self.value = (left > 0).then_some((left, passes));
                read = rest;
                continue;
            }
            let end = memchr::memchr(b'\n', read).map(|at| at + 1);
            let (line, rest) = read.split_at(end.unwrap_or(read.len()));
            if self.line.len() + line.len() > MAX_LINE {
                return Err(not_resp());
            }
            self.line.extend_from_slice(line);
            read = rest;
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.begin(&line, out)?;
            }
        }
        Ok(())
    }

    /// Reads the line that each value begins with.
    fn begin(&mut self, line: &[u8], out: &mut BytesMut) -> io::Result<()> {
        let Some(([kind], number)) = line
            .strip_suffix(b"\r\n")
            .and_then(|l| l.split_at_checked(1))
        else {
            return Err(not_resp());
        };
        let is_unwanted = self.unwanted > 0;
        self.unwanted = self.unwanted.saturating_sub(1);
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {
                if !is_unwanted {
                    out.extend_from_slice(line);
                }
            }
            b'$' | b'=' | b'!' => match length(number)? {
                None if is_unwanted => {}
                None => out.extend_from_slice(line),
                Some(bytes) => {
                    let passes = !is_unwanted && bytes <= self.limits.bytes;
                    if passes {
                        out.extend_from_slice(line);
                    } else if !is_unwanted {
                        out.extend_from_slice(b"$-1\r\n");
                    }
                    self.value = Some((bytes.saturating_add(2), passes));
                }
            },
            b'*' | b'~' | b'%' => match length(number)? {
                None if is_unwanted => {}
                None => out.extend_from_slice(line),
                Some(items) => {
                    let items = items.saturating_mul(if *kind == b'%' { 2 } else { 1 });
                    if is_unwanted {
                        self.unwanted = self.unwanted.saturating_add(items);
                    } else if items > self.limits.items {
                        out.extend_from_slice(b"*-1\r\n");
                        self.unwanted = items;
                    } else {
                        out.extend_from_slice(line);
                    }
                }
            },
            // Pushed messages and attributes: we have not asked for any.
            _ => return Err(not_resp()),
        }
        Ok(())
    }
}

/// A length. `None` means a null.
fn length(digits: &[u8]) -> io::Result<Option<u64>> {
    if digits == b"-1" {
        return Ok(None);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| not_resp())?;
    digits.parse().map(Some).map_err(|_| not_resp())
}

fn not_resp() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the store does not speak RESP")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 5, items: 3 };

    /// What passes of an answer. It must be the same however the answer is cut into pieces.
    fn passed(answer: &[u8]) -> io::Result<Vec<u8>> {
        let all = |piece: usize| -> io::Result<Vec<u8>> {
            let mut filter = Filter::new(LIMITS);
            let mut out = BytesMut::new();
            for piece in answer.chunks(piece) {
                filter.pass(piece, &mut out)?;
            }
            Ok(out.to_vec())
        };
        let whole = all(answer.len().max(1))?;
        for piece in 1..answer.len() {
            assert_eq!(all(piece)?, whole);
        }
        Ok(whole)
    }

    #[test]
    fn short_values_pass_unchanged() {
        for answer in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":7\r\n",
            "$5\r\nhe\r\no\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n$1\r\na\r\n*3\r\n:1\r\n+x\r\n$-1\r\n+OK\r\n",
            "%1\r\n$1\r\na\r\n$1\r\nb\r\n",
            "_\r\n#t\r\n,1.5\r\n(9\r\n",
        ] {
            assert_eq!(passed(answer.as_bytes()).unwrap(), answer.as_bytes());
        }
    }

    #[test]
    fn a_long_value_becomes_a_null_and_the_next_value_passes() {
        // I of the review
        for (answer, expected) in [
            ("$6\r\n123456\r\n+OK\r\n", "$-1\r\n+OK\r\n"),
            ("$6\r\n$9\r\n12\r\n:1\r\n", "$-1\r\n:1\r\n"),
            (
                "*2\r\n$1\r\na\r\n$7\r\n1234567\r\n:1\r\n",
                "*2\r\n$1\r\na\r\n$-1\r\n:1\r\n",
            ),
            (
                "*2\r\n*4\r\n:1\r\n$9\r\n123456789\r\n*1\r\n:2\r\n$-1\r\n:3\r\n",
                "*2\r\n*-1\r\n:3\r\n",
            ),
            (
                "*4\r\n*0\r\n*-1\r\n%1\r\n:1\r\n:2\r\n:3\r\n+OK\r\n",
                "*-1\r\n+OK\r\n",
            ),
            ("%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n+OK\r\n", "*-1\r\n+OK\r\n"),
        ] {
            let passed = passed(answer.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&passed), expected, "{answer:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_resp_end_the_connection() {
        for answer in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "+OK\n",
            "$x\r\n",
            "$-2\r\n",
            "*99999999999999999999\r\n",
            ">1\r\n:1\r\n",
        ] {
            assert!(passed(answer.as_bytes()).is_err(), "{answer:?}");
        }
        let endless = [b"+".as_slice(), &[b'x'; MAX_LINE]].concat();
        let mut filter = Filter::new(LIMITS);
        assert!(filter.pass(&endless, &mut BytesMut::new()).is_err());
    }

    #[test]
    fn a_long_value_takes_no_memory() {
        let mut filter = Filter::new(LIMITS);
        let mut out = BytesMut::new();
        filter.pass(b"*1\r\n$1073741824\r\n", &mut out).unwrap();
        for _ in 0..1024 {
            filter.pass(&[b'x'; PIECE], &mut out).unwrap();
        }
        assert_eq!(&out[..], b"*1\r\n$-1\r\n");
        assert!(filter.line.capacity() <= PIECE);
    }
}
