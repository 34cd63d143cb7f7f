//! A body that a client is sending, before any of it is on its way.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::length::Length;
use super::places::RETRY_AFTER;
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
    /// Waits for the first piece.
    pub(super) async fn begun(mut self) -> Result<BegunBody, UploadError> {
        let client_idle = self.client_idle();
        let Some(payload) = &mut self.payload else {
            return Err(UploadError::ClientGone);
        };
        let first = timeout(client_idle, payload.next()).await;
        let first = first.map_err(|_| UploadError::ClientStalled)?;
        let first = first.transpose().map_err(|_| UploadError::ClientGone)?;
        Ok(BegunBody { body: self, first })
    }

    pub(super) fn client_idle(&self) -> Duration {
        self.idle.min(CLIENT_IDLE)
    }
}

/// A body whose first piece is there, or that is known to be empty.
pub(super) struct BegunBody {
    pub(super) body: ClientBody,
    pub(super) first: Option<Bytes>,
}
