//! A request's body on its way from the client to the upstream.
//!
//! The connection to the upstream takes pieces from the client's connection itself, by a [`RequestBody`]: no task and
//! no queue stands between the two, so a slow upstream slows the client down. An [`Upload`] looks after both ends.
//!
//! # Invariants
//! - A body that did not arrive whole is never completed: the upstream's connection is cut.
//! - No byte beyond the route's limit reaches the upstream.
//! - Neither end keeps the other waiting for longer than its limit.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use actix_web::rt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::client_body::{BegunBody, UploadError};
use super::length::Length;
use super::places::{Awaited, Watch};
use super::request_body::RequestBody;
use super::source::Source;
use crate::telemetry::take_along;

/// Looks after a body until it is over. If it is dropped before, the body ends, and the upstream's connection with it.
pub(super) struct Upload {
    source: Rc<RefCell<Source>>,
    place: Watch,
    /// Looks after the rest, once the answer has begun.
    rest: Option<JoinHandle<()>>,
}

impl Upload {
    /// The body for hyper, and what looks after it. Within `limit` the upstream must begin to take it. If it `may_come_again`, it
    /// can be [rewound](Self::rewound).
    pub(super) fn start(
        body: BegunBody,
        place: Watch,
        limit: Duration,
        may_come_again: bool,
    ) -> (RequestBody, Self) {
        let left = match body.body.length {
            Length::Exact(bytes) => Some(bytes),
            Length::None | Length::Unknown => None,
        };
        let source = Source::new(body, place.clone(), limit, may_come_again);
        let source = Rc::new(RefCell::new(source));
        let upload = Self {
            source: Rc::clone(&source),
            place,
            rest: None,
        };
        (RequestBody::new(source, left), upload)
    }

    /// Waits until all is handed over, or the upstream wants no more.
    pub(super) async fn finished(&self) -> Result<(), UploadError> {
        finished(&self.source, &self.place).await
    }

    /// The failure, if there has been one: then whatever the upstream's connection says follows from it.
    pub(super) fn failure(&self) -> Option<UploadError> {
        self.source.borrow().outcome().and_then(Result::err)
    }

    /// The whole body once more, if nothing of it was read that was not there when it was started.
    pub(super) fn rewound(&mut self) -> Option<BegunBody> {
        self.source.borrow_mut().rewound()
    }

    /// The answer has begun, and nobody waits for the body any more.
    pub(super) fn go_on(&mut self) {
        self.source.borrow_mut().keep_nothing();
        if self.source.borrow().outcome().is_some() {
            return;
        }
        let (source, place) = (Rc::clone(&self.source), self.place.clone());
        self.rest = Some(rt::spawn(take_along(async move {
            // Whatever it is, both connections learn it from the source.
            let _ = finished(&source, &place).await;
        })));
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            rest.abort();
        }
        self.source.borrow_mut().end(Err(UploadError::ClientGone));
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

/// Waits for the outcome, and sees to it that there is one.
async fn finished(source: &RefCell<Source>, place: &Watch) -> Result<(), UploadError> {
    let outcome = poll_fn(|cx| source.borrow_mut().poll_outcome(cx));
    let stalled = async {
        loop {
            let (is_its_turn, end) = source.borrow().is_wanted_by();
            if is_its_turn && end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    };
    let failure = tokio::select! {
        biased;
        outcome = outcome => return outcome,
        () = place.is_needed(Awaited::Body) => UploadError::PlaceNeeded,
        () = stalled => UploadError::UpstreamStalled,
    };
    source.borrow_mut().end(Err(failure));
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::Pin;

    use bytes::Bytes;
    use futures_util::stream;
    use hyper::body::Body as _;

    use super::super::client_body::ClientBody;
    use super::super::places::{Asker, Places};
    use super::super::trickles::Trickles;
    use super::*;
    use crate::guard::spender;
    use crate::message::Payload;
    use crate::names::UpstreamName;
    use crate::telemetry::metrics::Metrics;

    const LIMIT: Duration = Duration::from_secs(60);

    #[actix_web::test]
    async fn a_piece_of_an_upload_goes_to_the_upstream_without_a_copy() {
        // T7
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let pieces = stream::iter([Ok(piece.clone())]);
        let name = UpstreamName::parse("api").unwrap();
        let places = Places::new(1, Metrics::default().upstream_connections(&name));
        let asker = Asker {
            address: spender(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            is_signed_in: false,
        };
        let place = places.take(asker, LIMIT).await.unwrap();
        let body = ClientBody {
            payload: Some(Payload::Stream {
                payload: Box::pin(pieces),
            }),
            length: Length::Exact(65_536),
            limit: u64::MAX,
            idle: LIMIT,
        };
        let begun = body.begun(&Trickles::of(1)).await.ok().unwrap();
        let (mut body, _upload) = Upload::start(begun, Watch::of(&place), LIMIT, false);
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let taken = frame.unwrap().unwrap().into_data().unwrap();
        assert_eq!((taken.as_ptr(), taken.len()), (piece.as_ptr(), piece.len()));
    }
}
