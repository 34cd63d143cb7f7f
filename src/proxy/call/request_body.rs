//! A request's body as hyper's client takes it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::source::{Source, Torn};

/// A body for hyper. The default one is empty.
#[derive(Default)]
pub(super) struct RequestBody {
    source: Option<Reader>,
    /// Bytes to come, if the length is known.
    left: Option<u64>,
}

impl RequestBody {
    pub(super) fn new(source: Rc<RefCell<Source>>, left: Option<u64>) -> Self {
        Self {
            source: Some(Reader(source)),
            left,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Torn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        let Some(Reader(source)) = &self.source else {
            return Poll::Ready(None);
        };
        let piece = ready!(source.borrow_mut().poll_piece(cx));
        Poll::Ready(match piece {
            Some(Ok(bytes)) => {
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(len));
                Some(Ok(Frame::data(bytes)))
            }
            end => {
                self.source = None;
                end.map(|piece| piece.map(Frame::data))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.left) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(left)) => SizeHint::with_exact(left),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

/// Dropped, it says that the upstream wants no more: its answer then decides.
struct Reader(Rc<RefCell<Source>>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.borrow_mut().end(Ok(()));
    }
}
