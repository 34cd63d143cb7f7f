//! `GET /bff/events`: server-sent events about the session, for pages that stay open. It never counts as activity.
//!
//! | event | when |
//! |---|---|
//! | `refreshed` | the session has new tokens; or the same account signed in again, and the stream ends |
//! | `ending` | a minute before the end, if nothing moves it |
//! | `ended` | the session is over: its time, a logout, a revocation. Then the stream ends |
//! | `replaced` | another account signed in, in this browser. Then the stream ends |
//!
//! The data of each is `{"at", "ends_at"}`, in seconds since 1970.
//!
//! # Invariants
//! - A stream ends with its session and with the process.
//! - Nobody on the way may change it: who compresses a stream holds its events back.
//!
//! # Why a client asks again after `ended`
//! What another replica has done to the session is not known here: without `[coordination]` neither a logout nor a use is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::times::{Times, nobody};
use crate::bff::Bff;
use crate::clock::UnixTime;
use crate::ledger::{Listener, NewsState};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::Session;

/// How long before the end `ending` is said.
const WARNING: Duration = Duration::from_mins(1);

/// How often a quiet stream says that it lives: proxies on the way end what is quiet for longer.
const HEARTBEAT: Duration = Duration::from_secs(25);

pub(super) fn serve(ctx: &Ctx<'_>) -> Result<HttpResponse, Problem> {
    let Some((session, times)) = Times::of(ctx) else {
        return Err(nobody(ctx));
    };
    let listening = Listening {
        listener: ctx.bff.news.listen(session.id),
        bff: Arc::clone(ctx.bff),
        session: session.clone(),
        over_at: times.over_at,
        idle_timeout: ctx.frontend.session.idle_timeout,
        refreshes: 0,
        warned_of: None,
        next: Next::Hello,
    };
    let events = stream::unfold(listening, |mut listening| async {
        let event = listening.next().await?;
        Some((Ok::<_, Infallible>(event), listening))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        // RFC 9111 §5.2.2.6
        .insert_header((CACHE_CONTROL, "no-store, no-transform"))
        // nginx would keep events back until its buffer is full.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(events))
}

/// A stream of events.
struct Listening {
    bff: Arc<Bff>,
    listener: Listener,
    session: Session,
    /// As the request's cookies say.
    over_at: UnixTime,
    idle_timeout: Duration,
    /// How many refreshes the client knows of.
    refreshes: u64,
    /// The end that the client was warned of.
    warned_of: Option<UnixTime>,
    next: Next,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// The head goes out with the first byte.
    Hello,
    Events,
    Nothing,
}

impl Listening {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.next {
            Next::Hello => {
                self.next = Next::Events;
                return Some(Bytes::from_static(b": listening\n\n"));
            }
            Next::Events => {}
            Next::Nothing => return None,
        }
        loop {
            let state = self.listener.state();
            if let Some(successor) = &state.successor {
                let old = &self.session;
                let is_same_account =
                    old.issuer == successor.issuer && old.subject == successor.subject;
                // The stream belongs to the old session. The browser opens another one by itself.
                let name = if is_same_account {
                    "refreshed"
                } else {
                    "replaced"
                };
                return Some(self.last(name, successor.over_at()));
            }
            let ends_at = self.ends_at(&state);
            if state.refreshes != self.refreshes {
                self.refreshes = state.refreshes;
                return Some(self.event("refreshed", ends_at));
            }
            let now = self.bff.clock.now();
            if ends_at <= now {
                return Some(self.last("ended", ends_at));
            }
            let warns_at = UnixTime::from_secs(ends_at.as_secs().saturating_sub(WARNING.as_secs()));
            let is_warned = self.warned_of == Some(ends_at);
            if !is_warned && warns_at <= now {
                self.warned_of = Some(ends_at);
                return Some(self.event("ending", ends_at));
            }
            let wakes_at = if is_warned { ends_at } else { warns_at };
            tokio::select! {
                biased;
                () = self.bff.draining.closing() => return None,
                // First: a session that gives way to another one is revoked, too.
                () = self.listener.changed() => {}
                () = self.bff.revocations.ended(&self.session) => {
                    return Some(self.last("ended", self.bff.clock.now()));
                }
                () = self.bff.clock.reached(wakes_at) => {}
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// When the session is over, as far as this process knows.
    fn ends_at(&self, state: &NewsState) -> UnixTime {
        let used_at = state.used_at.unwrap_or(self.session.last_seen);
        let idle_ends_at = used_at.max(self.session.last_seen).plus(self.idle_timeout);
        state.over_at.unwrap_or(self.over_at).min(idle_ends_at)
    }

    fn last(&mut self, name: &str, ends_at: UnixTime) -> Bytes {
        self.next = Next::Nothing;
        self.event(name, ends_at)
    }

    fn event(&self, name: &str, ends_at: UnixTime) -> Bytes {
        let data = json!({"at": self.bff.clock.now(), "ends_at": ends_at});
        format!("event: {name}\ndata: {data}\n\n").into()
    }
}
