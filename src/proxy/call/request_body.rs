//! A request's body as hyper's client takes it.
//!
//! # Why the source stays behind on its thread
//! hyper-util's client wants bodies that may move between threads, and a client's body cannot: actix's payload belongs to
//! one thread. But a worker has one thread, and the connections to its upstreams are tasks of it. So a body carries a
//! key, by which it finds its source where it was made. Elsewhere it finds none, and is torn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::source::{Source, Torn};

thread_local! {
    static SOURCES: RefCell<Sources> = RefCell::default();
}

#[derive(Default)]
struct Sources {
    by_key: HashMap<u64, Rc<RefCell<Source>>>,
    next_key: u64,
}

/// A body for hyper. The default one is empty.
#[derive(Debug, Default)]
pub(super) struct RequestBody {
    source: Option<Key>,
    /// Bytes to come, if the length is known.
    left: Option<u64>,
}

impl RequestBody {
    pub(super) fn new(source: Rc<RefCell<Source>>, left: Option<u64>) -> Self {
        Self {
            source: Some(Key::of(source)),
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
        let Some(key) = &self.source else {
            return Poll::Ready(None);
        };
        let Some(source) = key.source() else {
            return Poll::Ready(Some(Err(Torn)));
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

/// Finds a source on its thread. Dropped, it says that the upstream wants no more: its answer then decides.
#[derive(Debug)]
struct Key(u64);

impl Key {
    fn of(source: Rc<RefCell<Source>>) -> Self {
        SOURCES.with_borrow_mut(|sources| {
            let key = sources.next_key;
            sources.next_key = key.wrapping_add(1);
            sources.by_key.insert(key, source);
            Self(key)
        })
    }

    fn source(&self) -> Option<Rc<RefCell<Source>>> {
        SOURCES.with_borrow(|sources| sources.by_key.get(&self.0).map(Rc::clone))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // A thread that ends has forgotten its sources.
        let source = SOURCES.try_with(|sources| sources.borrow_mut().by_key.remove(&self.0));
        if let Ok(Some(source)) = source {
            source.borrow_mut().end(Ok(()));
        }
    }
}
