//! A body that a client is sending, before any of it is on its way.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::length::Length;
use super::places::RETRY_AFTER;
use super::trickles::{ENOUGH, Trickle, Trickles};
use crate::message::Payload;
use crate::problem::Problem;

/// How long a client may take for the next piece of its body, even if the upstream waits for longer.
const CLIENT_IDLE: Duration = Duration::from_secs(10);

/// Why a body did not get to the upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the client left in the middle of its body")]
    ClientGone,
    #[error("the client's body stalled")]
    ClientStalled,
    #[error("others wait for a connection, and the client's body does not come")]
    PlaceNeeded,
    #[error("the client's body is over the route's limit")]
    TooLarge,
    #[error("the upstream stopped taking the body")]
    UpstreamStalled,
}

impl UploadError {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::ClientGone => Problem::BadRequest("the body ended early"),
            Self::ClientStalled => Problem::BodyStalled,
            Self::PlaceNeeded => Problem::RateLimited {
                retry_after: RETRY_AFTER,
            },
            Self::TooLarge => Problem::BodyTooLarge,
            Self::UpstreamStalled => Problem::UpstreamTimeout,
        }
    }
}

/// A body that the client is sending.
pub(in crate::proxy) struct ClientBody {
    /// Nothing if all of it has been read.
    pub(in crate::proxy) payload: Option<Payload>,
    pub(in crate::proxy) length: Length,
    /// The route's limit, in bytes.
    pub(in crate::proxy) limit: u64,
    /// How long the upstream may take nothing. The client may send nothing for no longer than that either.
    pub(in crate::proxy) idle: Duration,
}

impl ClientBody {
    /// Waits for the first piece. If that is small, and as many others are on their way of which as little has come as there may
    /// be, waits for more.
    pub(super) async fn begun(mut self, trickles: &Trickles) -> Result<BegunBody, UploadError> {
        let client_idle = self.client_idle();
        let first = timeout(client_idle, self.next()).await;
        let Some(first) = first.map_err(|_| UploadError::ClientStalled)?? else {
            return Ok(self.with(None, None));
        };
        if self.is_enough(first.len()) {
            return Ok(self.with(Some(first), None));
        }
        if let Some(trickle) = trickles.take_now() {
            return Ok(self.with(Some(first), Some(trickle)));
        }
        // Boxed, because it is rare.
        let gathered = timeout(client_idle, Box::pin(self.gathered(first, trickles)));
        gathered.await.map_err(|_| UploadError::ClientStalled)?
    }

    /// Waits until enough has come, or until this body may be on its way as it is.
    async fn gathered(
        mut self,
        first: Bytes,
        trickles: &Trickles,
    ) -> Result<BegunBody, UploadError> {
        // A copy, because each piece keeps the whole buffer that it was read into.
        let mut begin = BytesMut::from(&*first);
        drop(first);
        let trickle = loop {
            let piece = tokio::select! {
                biased;
                piece = self.next() => piece?,
                trickle = trickles.take() => break trickle,
            };
            let Some(piece) = piece else { break None };
            begin.extend_from_slice(&piece);
            if self.is_enough(begin.len()) {
                break None;
            }
        };
        Ok(self.with(Some(begin.freeze()), trickle))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        let payload = self.payload.as_mut().ok_or(UploadError::ClientGone)?;
        let piece = payload.next().await.transpose();
        piece.map_err(|_| UploadError::ClientGone)
    }

    /// Whether so many bytes are all of it, or no trickle.
    fn is_enough(&self, bytes: usize) -> bool {
        bytes >= ENOUGH || self.length == Length::Exact(bytes as u64)
    }

    fn with(self, first: Option<Bytes>, trickle: Option<Trickle>) -> BegunBody {
        BegunBody {
            body: self,
            first,
            trickle,
        }
    }

    pub(super) fn client_idle(&self) -> Duration {
        self.idle.min(CLIENT_IDLE)
    }
}

/// A body whose first piece is there, or that is known to be empty.
pub(super) struct BegunBody {
    pub(super) body: ClientBody,
    pub(super) first: Option<Bytes>,
    /// If little of it has come.
    pub(super) trickle: Option<Trickle>,
}
