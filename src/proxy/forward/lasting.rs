//! Answers that last (server-sent events and WebSocket), and what ends them before their upstream does.
//!
//! `api::forward` gives every upstream's answer to [`end_in_time`], which leaves ordinary ones as they are. A task waits
//! for the end beside the answer, because nobody polls a body while its client reads nothing. It sleeps until there is
//! news: no timer of it runs but the one for the session's end.
//!
//! If a request asks for an answer that [`may_last`], `api::forward` watches the session's end from then on, because the
//! upstream may take long to answer.
//!
//! # Invariants
//! - An answer that lasts does not outlive its session in this process: it ends at the session's absolute end, at logout
//!   and at revocation.
//! - If a later refresh brings the session's end nearer, the nearer end counts. An event stream that nobody asked for has
//!   this from the upstream's answer on, the others from the request on.
//! - A close frame of ours stands between two frames of the upstream. It is never inside one, and never after a close
//!   frame.
//! - At shutdown such answers end at once, so that clients turn to another replica.
//!
//! # Spec
//! RFC 6455 §7.4.1: 1008 (policy violation) for the session's end, 1001 (going away) for ours.
//!
//! # Why an event stream ends without a last event
//! `EventSource` connects again by itself, and the next request gets 401.

use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::rt;
use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use tokio::task::JoinHandle;

use super::frames::{self, Frames};
use super::tunnel::Idle;
use crate::bff::Bff;
use crate::clock::UnixTime;
use crate::coordination::Coordinator;
use crate::frontend::WebSocket;
use crate::message::{Answer, BoxBody, Request};
use crate::session::Session;
use crate::telemetry::metrics::{Held, StreamKind};
use crate::telemetry::take_along;

/// How long an upstream may take to finish a frame that it has begun. Then the connection is cut inside the frame.
const LAST_FRAME: Duration = Duration::from_secs(1);

/// Why an answer ends before its upstream ends it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Idle,
    SessionOver,
    ShuttingDown,
}

impl Ending {
    fn close_frame(self) -> Bytes {
        let (code, reason) = match self {
            Self::Idle => (1001, "idle"),
            Self::SessionOver => (1008, "the session is over"),
            Self::ShuttingDown => (1001, "going away"),
        };
        frames::close(code, reason).into()
    }
}

/// Makes an answer that lasts end with the session, at its end or earlier, and with the process.
pub fn end_in_time(answer: Answer, bff: &Bff, session: Option<(&Session, UnixTime)>) -> Answer {
    let frames = match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => Some(Frames::default()),
        _ if is_event_stream(answer.headers()) => None,
        _ => return answer,
    };
    let ending = ending(bff, session);
    let kind = match frames {
        Some(_) => StreamKind::WebSocket,
        None => StreamKind::Sse,
    };
    let counted = bff.metrics.streaming(kind);
    answer.map(|body| Lasting::new(body, frames, ending, counted).boxed())
}

/// Whether a request asks for an answer that lasts. An `EventSource` always says so (HTML §9.2.2).
pub fn may_last(request: &Request, websocket: WebSocket) -> bool {
    let accept = request.headers().get_all(ACCEPT).iter();
    websocket != WebSocket::NotAsked
        || accept
            .flat_map(|value| value.as_bytes().split(|b| *b == b','))
            .any(names_event_stream)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    types.any(|value| names_event_stream(value.as_bytes()))
}

fn names_event_stream(media_type: &[u8]) -> bool {
    let essence = media_type.split(|b| *b == b';').next();
    essence.is_some_and(|e| e.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

fn ending(
    bff: &Bff,
    session: Option<(&Session, UnixTime)>,
) -> impl Future<Output = Ending> + use<> {
    let closing = bff.draining.closing();
    let over = session.map(|(session, end)| {
        let end = bff.ends.reached(session.id, end, &bff.clock);
        let revoked = bff.revocations.ended(session);
        let stale = revocations_are_stale(bff.coordinator.clone());
        async {
            tokio::select! {
                () = end => {}
                () = revoked => {}
                () = stale => {}
            }
        }
    });
    async move {
        let over = async {
            match over {
                Some(over) => over.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => Ending::SessionOver,
            () = closing => Ending::ShuttingDown,
        }
    }
}

/// Waits until this process does not know any more which sessions ended elsewhere. With `on_failure = "open"` it waits
/// for ever.
async fn revocations_are_stale(coordinator: Option<Arc<Coordinator>>) {
    match coordinator {
        Some(coordinator) => coordinator.until_stale().await,
        None => std::future::pending().await,
    }
}

/// The body of an answer that lasts.
struct Lasting {
    size: BodySize,
    /// Follows what the upstream has sent. An event stream has no frames.
    frames: Option<Frames>,
    shared: Rc<Shared>,
    watcher: JoinHandle<()>,
    /// For the metrics.
    _counted: Held,
}

struct Shared {
    /// `None` when it is over. If it is dropped, the request to the upstream ends.
    body: RefCell<Option<BoxBody>>,
    ending: Cell<Option<Ending>>,
    reader: Cell<Option<Waker>>,
}

impl Shared {
    fn wake(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn stop(&self) -> Option<BoxBody> {
        self.body.borrow_mut().take()
    }
}

impl Lasting {
    fn new(
        body: BoxBody,
        frames: Option<Frames>,
        ending: impl Future<Output = Ending> + 'static,
        counted: Held,
    ) -> Self {
        let size = body.size();
        let shared = Rc::new(Shared {
            body: RefCell::new(Some(body)),
            ending: Cell::new(None),
            reader: Cell::new(None),
        });
        let of_task = Rc::clone(&shared);
        let patience = frames.as_ref().map(|_| LAST_FRAME);
        let watcher = rt::spawn(take_along(async move {
            of_task.ending.set(Some(ending.await));
            of_task.wake();
            if let Some(patience) = patience {
                rt::time::sleep(patience).await;
            }
            drop(of_task.stop());
            of_task.wake();
        }));
        Self {
            size,
            frames,
            shared,
            watcher,
            _counted: counted,
        }
    }

    fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Box<dyn StdError>>>> {
        match &mut *self.shared.body.borrow_mut() {
            Some(body) => Pin::new(body).poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl MessageBody for Lasting {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        this.shared.reader.set(Some(cx.waker().clone()));
        loop {
            let polled = match (this.shared.ending.get(), &this.frames) {
                (Some(_), None) => {
                    this.shared.stop();
                    return Poll::Ready(None);
                }
                (Some(ending), Some(frames)) if frames.is_between() => {
                    let was_open = this.shared.stop().is_some();
                    let is_owed = was_open && !frames.has_closed();
                    return Poll::Ready(is_owed.then(|| Ok(ending.close_frame())));
                }
                _ => this.poll_body(cx),
            };
            let Some(frames) = &mut this.frames else {
                return polled;
            };
            return match polled {
                Poll::Ready(Some(Ok(mut bytes))) => {
                    if this.shared.ending.get().is_some() {
                        bytes.truncate(frames.pass_frame(&bytes));
                    } else {
                        frames.pass(&bytes);
                    }
                    Poll::Ready(Some(Ok(bytes)))
                }
                Poll::Ready(Some(Err(error))) if error.is::<Idle>() && frames.is_between() => {
                    this.shared.ending.set(Some(Ending::Idle));
                    continue;
                }
                polled => polled,
            };
        }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}
