//! An answer's body on its way to the client, as fast as the client reads it.
//!
//! # Invariants
//! - If the upstream's body breaks off, ours ends in an error. The server then cuts the client's connection, so that the
//!   client does not take a part for the whole (RFC 9112 §8).
//! - A client that does not read loses the answer when others need its place at the upstream.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt;
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::proxy::call::{AnswerBody, Awaited, BrokenOff, Watch};
use crate::telemetry::take_along;

/// The body of an upstream's answer, as the client reads it.
pub(super) struct ResponseBody {
    /// `None` when it is over or was cut.
    body: Rc<RefCell<Option<AnswerBody>>>,
    size: BodySize,
    reader: Option<Reader>,
}

/// The client, which takes the answer piece by piece.
struct Reader {
    place: Watch,
    /// Length of the last piece that it was given.
    given: usize,
    /// The task that cuts the answer when others need the place. Most answers are over before it is worth one.
    watcher: Option<JoinHandle<()>>,
}

impl ResponseBody {
    pub(super) fn new(body: AnswerBody, size: BodySize) -> Self {
        let reader = body.watch().map(|place| Reader {
            place,
            given: 0,
            watcher: None,
        });
        Self {
            body: Rc::new(RefCell::new(Some(body))),
            size,
            reader,
        }
    }

    fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut body = self.body.borrow_mut();
        let Some(open) = &mut *body else {
            return Poll::Ready(Some(Err(BrokenOff::Cut)));
        };
        let polled = open.poll_piece(cx);
        if matches!(polled, Poll::Ready(None)) {
            *body = None;
        }
        polled
    }

    /// Notes that it is the client's turn. From the second piece on, a task looks at how long that takes.
    fn give(&mut self, bytes: usize) {
        let Some(reader) = &mut self.reader else {
            return;
        };
        let is_first = reader.given == 0;
        reader.given = bytes;
        reader.place.client_is_awaited();
        if is_first || reader.watcher.is_some() {
            return;
        }
        let (place, body) = (reader.place.clone(), Rc::clone(&self.body));
        reader.watcher = Some(rt::spawn(take_along(async move {
            place.is_needed(Awaited::Reader).await;
            let cut = body.borrow_mut().take();
            if let Some(cut) = cut {
                log::info!(
                    "upstream {}: others wait for a connection, and a client does not read its answer",
                    cut.upstream()
                );
            }
        })));
    }
}

impl MessageBody for ResponseBody {
    type Error = BrokenOff;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if let Some(reader) = &self.reader {
            reader.place.client_has_moved(reader.given);
        }
        let polled = self.poll_body(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.give(bytes.len());
        }
        polled
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(watcher) = self.reader.as_ref().and_then(|r| r.watcher.as_ref()) {
            watcher.abort();
        }
    }
}
