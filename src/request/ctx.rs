//! What is known of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::caller::Caller;
use crate::bff::Bff;
use crate::clock::UnixTime;
use crate::frontend::{Frontend, Target, WebSocket};
use crate::guard;
use crate::message::Request;
use crate::names::ReturnTo;
use crate::oidc::IdpClient;
use crate::session::{OpenResult, Wallet};
use crate::telemetry::RequestScope;

/// What is known of a request before its frontend is.
pub struct Arrival {
    /// Its id, and what the log says of it.
    pub scope: RequestScope,
    /// When it came, for what happened before it and what after.
    pub at: Instant,
    /// What it says about WebSocket.
    pub websocket: WebSocket,
}

impl Arrival {
    /// A request has come.
    pub fn of(request: &Request, scope: RequestScope) -> Self {
        Self {
            scope,
            at: Instant::now(),
            websocket: guard::websocket(request),
        }
    }
}

/// A request of a frontend: what was found out so far, and what its answer will do.
pub struct Ctx<'r> {
    /// What was known when it came.
    pub arrival: &'r Arrival,
    /// The client's address, behind trusted proxies.
    pub client: IpAddr,
    /// The request as it came.
    pub request: &'r Request,
    /// The shared state.
    pub bff: &'r Arc<Bff>,
    /// This worker's client for identity providers.
    pub idp: &'r IdpClient,
    /// The selected frontend.
    pub frontend: &'r Arc<Frontend>,
    /// What its path and method mean, once that is known.
    pub target: Option<Target<'r, 'r>>,
    /// The time, the same for the whole request.
    pub now: UnixTime,
    /// The cookies of ours that came with it, and those that its answer sets, whatever becomes of the request.
    pub wallet: Wallet<'r>,
    /// Who calls, once that is known.
    pub caller: Caller,
    /// How its cookies were found.
    pub found: OpenResult,
    /// Where the person wants to be in the end, as far as it is known: a page about a problem leads back there.
    pub back: Option<ReturnTo>,
    /// A nonce for the next proof of an app, if this request brought one (RFC 9449 §8.2).
    pub nonce: Option<String>,
    /// An address of ours that the page about a problem goes on to by itself.
    pub look_again: Option<String>,
}

impl<'r> Ctx<'r> {
    /// Notes what the path and method mean.
    pub fn set_target(&mut self, target: Target<'r, 'r>) {
        self.arrival.scope.set_route(match target {
            Target::Assets(..) => "assets".into(),
            Target::Endpoint(endpoint) => endpoint.rules().name.into(),
            Target::Route(matched) => (&matched.route.name).into(),
        });
        self.target = Some(target);
    }

    /// Notes where the login ends that the request belongs to. The first page needs no mention.
    pub fn leads_to(&mut self, return_to: &ReturnTo) {
        self.back = Some(return_to.clone()).filter(|to| *to != ReturnTo::root());
    }

    /// Looks once at the key directory, because a cookie may be sealed with a key that this process has not read yet.
    /// Returns whether the request has other keys now.
    pub async fn look_for_keys(&mut self) -> bool {
        self.bff.keys.look(self.now).await;
        let current = self.bff.keys.current();
        let has_changed = !Arc::ptr_eq(&current, self.wallet.keys());
        self.wallet.use_keys(current);
        has_changed
    }
}
