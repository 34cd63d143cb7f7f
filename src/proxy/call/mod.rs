//! One call to one upstream: from a request's head to the answer's.
//!
//! A [`Call`] takes a place among the upstream's connections, puts the credential on the request, sends it within the
//! time limit and checks how the answer is framed. The answer is a [`Called`]: `forward` mirrors it to the client,
//! other code reads it with [`Answer::read`]. [`Proxy::get`] makes a GET that is not a mirror of the client's request.
//!
//! - `upstream`: the upstreams of one worker · `pool`: their connections · `connector`: TCP and TLS · `places`: who may use one
//! - `trickles`: bodies of which little has come · `client_body`, `source`, `request_body`, `upload`: the client's body on its way out · `answer`: the upstream's body on its way in
//! - `span`: what traces and metrics say of the call
//!
//! # Invariants
//! - Nothing is sent without a [`Permit`], and the request carries the permit's credential or none.
//! - An answer holds its place until its body ends or is dropped.
//! - A request is sent again for a nonce (RFC 9449 §9) once at the most, and with a body only as long as nothing more of the
//!   client's body was read.
//!
//! # Spec
//! RFC 9112 §6.3 (which framing is trustworthy), RFC 9110 §9.2.2 (idempotent methods).

mod answer;
mod base;
mod client_body;
mod connector;
mod get;
mod idle_timer;
mod length;
mod places;
mod pool;
mod request_body;
mod source;
mod span;
mod trial;
mod trickles;
mod upload;
mod upstream;

use std::net::IpAddr;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use tokio::time::timeout;

use crate::guard::spender;
use crate::problem::Problem;
use crate::proxy::headers::trace;
use crate::telemetry::Span;
use crate::token::Permit;
use answer::Hold;
use client_body::UploadError;
use places::Asker;
use pool::Failure;
use request_body::RequestBody;
use upload::Upload;

pub(super) use answer::AnswerBody;
pub use answer::{Answer, BrokenOff, ReadError};
pub(super) use client_body::ClientBody;
pub use get::{Get, Proxy};
pub(super) use length::Length;
pub(super) use places::{Awaited, TunnelPlace, Watch};
pub(super) use span::Told;
pub(super) use upstream::Upstream;
pub use upstream::Upstreams;

/// What a call came to. `A` is the answer, as far as somebody has processed it.
#[derive(Debug)]
pub enum Called<A = Answer> {
    /// Any answer but a 401.
    Answer(A),
    /// A 401. `token` decides by the challenge whether a new credential or a new login may help.
    Unauthorized(Challenge, A),
}

impl<A> Called<A> {
    /// Processes the answer further; the challenge stays.
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> Called<B> {
        match self {
            Self::Answer(answer) => Called::Answer(f(answer)),
            Self::Unauthorized(challenge, answer) => Called::Unauthorized(challenge, f(answer)),
        }
    }

    /// The answer, a 401 or not.
    pub fn into_answer(self) -> A {
        match self {
            Self::Answer(answer) | Self::Unauthorized(_, answer) => answer,
        }
    }
}

impl Called {
    fn of(answer: Answer) -> Self {
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Self::Answer(answer);
        }
        let lines = answer.headers().get_all(WWW_AUTHENTICATE);
        let challenge = Challenge(lines.iter().cloned().collect());
        Self::Unauthorized(challenge, answer)
    }
}

/// The `WWW-Authenticate` lines of a 401 (RFC 9110 §11.6.1). They are for `token`, never for the browser, which would
/// show a password dialog.
#[derive(Clone, Debug)]
pub struct Challenge(pub Vec<HeaderValue>);

/// One call to one upstream.
pub(super) struct Call<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) permit: &'a Permit,
    /// From which address it is asked for; places are shared out by it.
    pub(super) client: IpAddr,
    /// Time until the answer's head.
    pub(super) limit: Duration,
    /// The caller begins and ends it.
    pub(super) span: &'a Span,
}

/// What an upstream made of a WebSocket handshake.
pub(super) enum Handshake {
    /// It switched protocols.
    Switched {
        /// The 101's headers.
        headers: HeaderMap,
        connection: Upgraded,
        place: TunnelPlace,
    },
    /// It answered like to any other request.
    Refused(Called),
}

impl Call<'_> {
    /// Sends a request to `uri` that has no body. `head` makes it, and makes it once more if an idle connection turns out to be
    /// stale.
    pub(super) async fn send(
        &self,
        uri: &Uri,
        head: impl Fn() -> Result<Request<()>, Problem>,
    ) -> Result<Called, Problem> {
        let place = self.upstream.place(self.asker(), self.limit).await?;
        let attempts = async {
            let answer = self.attempt(&head).await?;
            if !self.is_wanted_again(uri, &answer) {
                return Ok(answer);
            }
            drop(answer);
            let answer = self.attempt(&head).await?;
            self.is_wanted_again(uri, &answer);
            Ok(answer)
        };
        let outcome = timeout(self.limit, attempts).await;
        let answer = outcome.unwrap_or_else(|_| Err(self.too_late()))?;
        Ok(self.called(answer, Hold::Place(place), None))
    }

    /// Sends what `head` makes, and once more if an idle connection turns out to be stale.
    async fn attempt(
        &self,
        head: impl Fn() -> Result<Request<()>, Problem>,
    ) -> Result<Response<Incoming>, Problem> {
        let first = self.authorized(head()?)?;
        let is_idempotent = first.method().is_idempotent();
        match self.upstream.pool.send(bodiless(first)).await {
            Err(Failure::Exchange { is_stale: true, .. }) if is_idempotent => {
                log::debug!(
                    "upstream {}: an idle connection was stale; trying again on a new one",
                    self.upstream.name
                );
                // After an upstream has restarted, the next idle connection is as dead as this one.
                let second = bodiless(self.authorized(head()?)?);
                // Boxed, as it is rare and large.
                let second = Box::pin(self.upstream.pool.send_alone(second));
                self.checked(second.await)
            }
            outcome => self.checked(outcome),
        }
    }

    /// Sends a request to `uri` with a body that the client is still sending. If the upstream wants it again for a nonce, it gets it as long
    /// as no more of the client's body was read than was there before the request was sent. `head` is asked for once the body has
    /// begun: until then, a request holds little memory.
    pub(super) async fn send_with_body(
        &self,
        uri: &Uri,
        head: impl Fn() -> Result<Request<()>, Problem>,
        body: ClientBody,
    ) -> Result<Called, Problem> {
        // The first byte comes before the place: a client that sends nothing takes no connection from others.
        let body = body
            .begun(&self.upstream.trickles)
            .await
            .map_err(|failure| self.not_carried(failure))?;
        let place = self.upstream.place(self.asker(), self.limit).await?;
        let may_come_again = self.permit.credential().may_want_nonce();
        let first = self.authorized(head()?)?;
        let (source, upload) = Upload::start(body, Watch::of(&place), self.limit, may_come_again);
        let (mut answer, mut upload) = self.exchange(first.map(|()| source), upload).await?;
        if self.is_wanted_again(uri, &answer)
            && let Some(body) = upload.rewound()
        {
            drop((answer, upload));
            let second = self.authorized(head()?)?;
            let (source, rest) = Upload::start(body, Watch::of(&place), self.limit, false);
            (answer, upload) = self.exchange(second.map(|()| source), rest).await?;
            self.is_wanted_again(uri, &answer);
        }
        upload.go_on();
        Ok(self.called(answer, Hold::Place(place), Some(upload)))
    }

    /// Sends a WebSocket handshake, on a connection of its own, which is never stale. Whatever the answer, no other request goes that
    /// way: a proxy before the API may take the handshake for accepted although it was refused.
    ///
    /// `is_accepted` says whether a 101 proves that the upstream has read this handshake.
    pub(super) async fn send_handshake(
        &self,
        head: Request<()>,
        is_accepted: impl Fn(&HeaderMap) -> bool,
    ) -> Result<Handshake, Problem> {
        let place = self.upstream.tunnel_place(self.asker())?;
        let uri = head.uri().clone();
        let attempts = async {
            let first = bodiless(self.authorized(head.clone())?);
            let outcome = self.upstream.pool.send_alone(first).await;
            if !matches!(&outcome, Ok(answer) if self.is_wanted_again(&uri, answer)) {
                return Ok(outcome);
            }
            drop(outcome);
            let second = bodiless(self.authorized(head)?);
            let outcome = self.upstream.pool.send_alone(second).await;
            if let Ok(answer) = &outcome {
                self.is_wanted_again(&uri, answer);
            }
            Ok(outcome)
        };
        let outcome = timeout(self.limit, attempts).await;
        let outcome = outcome.unwrap_or_else(|_| Err(self.too_late()))?;
        let mut answer = match outcome {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => answer,
            refused => {
                let answer = self.checked(refused)?;
                let called = self.called(answer, Hold::Tunnel(place), None);
                return Ok(Handshake::Refused(called));
            }
        };
        if !is_accepted(answer.headers()) {
            return Err(self.not_asked_for());
        }
        let connection = hyper::upgrade::on(&mut answer).await;
        let connection = connection.map_err(|failure| {
            let (name, problem) = (&self.upstream.name, Problem::UpstreamUnavailable);
            log::warn!(code = problem.code(); "upstream {name}: the connection did not switch protocols: {failure}");
            problem
        })?;
        Ok(Handshake::Switched {
            headers: answer.into_parts().0.headers,
            connection,
            place,
        })
    }

    /// Sends a request and its body. The time limit begins when the body is handed over; until then its progress
    /// counts.
    async fn exchange(
        &self,
        request: Request<RequestBody>,
        upload: Upload,
    ) -> Result<(Response<Incoming>, Upload), Problem> {
        // Boxed, because it would be kept beside the request that is moved into it.
        let mut answer = Box::pin(self.upstream.pool.send(request));
        let early = tokio::select! {
            biased;
            outcome = &mut answer => Some(outcome), // a 401 or 413 before the body was read
            carried = upload.finished() => match carried {
                Ok(()) => None,
                Err(failure) => return Err(self.not_carried(failure)),
            },
        };
        if let Some(outcome) = early {
            if outcome.is_err()
                && let Some(failure) = upload.failure()
            {
                return Err(self.not_carried(failure));
            }
            return Ok((self.checked(outcome)?, upload));
        }
        let outcome = timeout(self.limit, answer).await;
        let outcome = outcome.map_err(|_| self.too_late())?;
        Ok((self.checked(outcome)?, upload))
    }

    fn asker(&self) -> Asker {
        Asker {
            address: spender(self.client),
            is_signed_in: self.permit.bearer().is_users(),
        }
    }

    fn authorized(&self, mut head: Request<()>) -> Result<Request<()>, Problem> {
        trace::add(head.headers_mut(), self.span);
        self.permit.credential().apply(&mut head)?;
        Ok(head)
    }

    /// Whether the upstream wants the request again, with a nonce in the proof. Each answer is asked this once.
    fn is_wanted_again(&self, uri: &Uri, answer: &Response<Incoming>) -> bool {
        let credential = self.permit.credential();
        credential.wants_again(uri, answer.status(), answer.headers())
    }

    fn called(&self, answer: Response<Incoming>, hold: Hold, upload: Option<Upload>) -> Called {
        let (head, incoming) = answer.into_parts();
        let body = AnswerBody::new(self.upstream, incoming, hold, upload);
        Called::of(Answer { head, body })
    }

    /// Refuses an answer whose framing is ambiguous, and a 101 that this request did not ask for.
    fn checked(
        &self,
        outcome: Result<Response<Incoming>, Failure>,
    ) -> Result<Response<Incoming>, Problem> {
        let answer = outcome.map_err(|failure| self.upstream.problem(&failure))?;
        let headers = answer.headers();
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        // With a length beside it, a server between the upstream and us may have read another body (RFC 9112 §6.3).
        let is_plain = codings.all(|coding| {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && !headers.contains_key(CONTENT_LENGTH)
        });
        if is_plain && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        Err(self.not_asked_for())
    }

    /// The client's body did not get to the upstream. Mostly that is the client's doing.
    fn not_carried(&self, failure: UploadError) -> Problem {
        let (name, problem) = (&self.upstream.name, failure.problem());
        let level = match problem {
            Problem::UpstreamTimeout => log::Level::Warn,
            _ => log::Level::Debug,
        };
        log::log!(level, code = problem.code(); "upstream {name}: {failure}");
        problem
    }

    fn too_late(&self) -> Problem {
        let name = &self.upstream.name;
        let problem = Problem::UpstreamTimeout;
        log::warn!(code = problem.code(); "upstream {name}: no answer in time (timeout of upstream.{name} or of the route)");
        problem
    }

    fn not_asked_for(&self) -> Problem {
        let (name, problem) = (&self.upstream.name, Problem::UpstreamUnavailable);
        log::warn!(code = problem.code(); "upstream {name}: an answer that does not fit the request");
        problem
    }
}

fn bodiless(head: Request<()>) -> Request<RequestBody> {
    head.map(|()| RequestBody::default())
}
