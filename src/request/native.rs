//! An app's request: its token is opened, and its proof of possession checked.
//!
//! # Invariants
//! - A token that is bound to a key counts only with a proof of that key, one that is not only as a bearer token.
//! - A session cookie beside a token is refused: nobody could say who calls.
//! - Nothing is refreshed or written here.
//! - A proof is spent only once it counts: a stranger's proofs leave no trace in the shared store.
//!
//! # Spec
//! RFC 6750 §2.1, §3.1; RFC 9449 §4.3, §7, §8, §9, §11.1.

use std::rc::Rc;

use http::HeaderName;

use super::caller::{App, Caller};
use super::ctx::Ctx;
use crate::clock::UnixTime;
use crate::frontend::{Dpop as DpopRule, NativeSettings};
use crate::guard::{self, Scheme};
use crate::keyring::{Kid, OpenError};
use crate::ledger::digest_text;
use crate::problem::{Problem, TokenRefusal};
use crate::proof::{Age, Dpop, Proven, SealedTime};
use crate::session::{Digest, NativeAccess, OpenResult};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Nonces of proofs.
const NONCE: SealedTime = SealedTime::new("native nonce 1");

/// Why a proof does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoProof {
    /// It is not a proof for this request.
    Invalid,
    /// It was made without a fresh nonce of ours.
    Nonce,
    /// It came before.
    Repeated,
    /// Nobody can say whether it came before.
    Unknown,
}

impl Ctx<'_> {
    /// Opens the token in `Authorization`.
    pub async fn open_token(&mut self) -> Result<(), Problem> {
        let opened = self.app().await;
        match opened {
            Ok(app) => {
                self.caller = Caller::App(app);
                self.found = OpenResult::Ok;
                Ok(())
            }
            Err(problem) => {
                if self.found == OpenResult::Anonymous {
                    self.found = OpenResult::Rejected;
                }
                self.bff.metrics.session_opened(self.found.as_str());
                Err(problem)
            }
        }
    }

    async fn app(&mut self) -> Result<App, Problem> {
        let frontend = self.frontend;
        let native = frontend.native.as_ref().ok_or(Problem::NotFound)?;
        if self.wallet.has_session() {
            return Err(Problem::BadRequest(
                "a token and a session cookie came together",
            ));
        }
        let (scheme, token) = guard::presented(self.request.headers()).ok_or(
            Problem::BadRequest("there is not exactly one Authorization"),
        )?;
        let refused =
            |why| Problem::TokenRefused(TokenRefusal::token(challenge(native, scheme), why));
        if scheme == Scheme::Bearer && native.dpop == DpopRule::Required {
            return Err(refused(
                "bearer tokens are not taken here: DPoP is required",
            ));
        }
        let opened = self
            .look_up(|ctx| ctx.wallet.open_native_access(token))
            .await;
        let (access, kid) = opened.map_err(|error| {
            self.found = not_opened(error);
            refused("this is not an access token of this frontend")
        })?;
        self.bff.metrics.opened_with(*kid.as_bytes());
        self.judge(&access).map_err(|found| {
            self.found = found;
            refused("the access token is over")
        })?;
        let proved_at = match (access.key, scheme) {
            (Some(key), Scheme::Dpop) => Some(self.check_possession(token, key, native).await?),
            (None, Scheme::Bearer) => None,
            (Some(_), Scheme::Bearer) => return Err(refused("the token is bound to a key")),
            (None, Scheme::Dpop) => return Err(refused("the token is not bound to a key")),
        };
        Ok(App {
            proved_at,
            scheme: challenge(native, scheme),
            lasts_until: access.lasts_until,
            sealed_at: access.session.last_seen,
            session: Rc::new(access.session.into()),
        })
    }

    /// Whether the token is still good.
    fn judge(&self, access: &NativeAccess) -> Result<(), OpenResult> {
        let session = &access.session;
        let epoch = self.frontend.session.not_before;
        if epoch.is_some_and(|epoch| session.started_at < epoch) {
            return Err(OpenResult::Ended);
        }
        if session.is_expired(self.now) {
            return Err(OpenResult::Expired);
        }
        Ok(())
    }

    /// Checks that the request proves the key that the token is bound to. Gives the age of the nonce that is in the proof.
    async fn check_possession(
        &mut self,
        token: &str,
        key: Digest,
        native: &NativeSettings,
    ) -> Result<UnixTime, Problem> {
        let scheme = challenge(native, Scheme::Dpop);
        let refused = |refusal| Err(Problem::TokenRefused(refusal));
        let spent = match self.proof_of_possession(Some(token)).await {
            Ok(Some((proof, nonce_at))) if proof.key == key => {
                self.spend_proof(&proof).await.map(|()| nonce_at)
            }
            Ok(Some(_)) => {
                return refused(TokenRefusal::token(scheme, "the proof is of another key"));
            }
            Ok(None) => return refused(TokenRefusal::proof("there is no DPoP proof")),
            Err(why) => Err(why),
        };
        match spent {
            Ok(nonce_at) => Ok(nonce_at),
            Err(NoProof::Invalid) => refused(TokenRefusal::proof(
                "the DPoP proof is not valid for this request",
            )),
            Err(NoProof::Repeated) => refused(TokenRefusal::proof("the DPoP proof came before")),
            Err(NoProof::Nonce) => refused(TokenRefusal::nonce()),
            Err(NoProof::Unknown) => Err(Problem::RevocationsUnknown),
        }
    }

    /// The proof that the request brings, if it brings one, and when we sealed its nonce;
    /// [`spend_proof`](Self::spend_proof) is still to do. The answer has a fresh nonce.
    pub async fn proof_of_possession(
        &mut self,
        token: Option<&str>,
    ) -> Result<Option<(Dpop, UnixTime)>, NoProof> {
        let request = self.request;
        let mut lines = request.headers().get_all(DPOP).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        self.nonce = NONCE
            .seal(&self.nonce_context(), self.wallet.keys(), self.now)
            .ok();
        let line = line.to_str().ok().filter(|_| lines.next().is_none());
        let proof = Dpop::read(
            line.ok_or(NoProof::Invalid)?,
            Proven {
                method: request.method().as_str(),
                origin: &self.frontend.origin,
                path: request.uri().path(),
                token,
            },
        );
        let proof = proof.map_err(|_| NoProof::Invalid)?;
        let nonce_at = self.check_nonce(proof.nonce.as_deref()).await?;
        Ok(Some((proof, nonce_at)))
    }

    async fn check_nonce(&mut self, nonce: Option<&str>) -> Result<UnixTime, NoProof> {
        let nonce = nonce.ok_or(NoProof::Nonce)?;
        let age = |ctx: &Self| {
            let keys = ctx.wallet.keys();
            NONCE.age(nonce, &ctx.nonce_context(), keys, ctx.now)
        };
        let mut found = age(self);
        // Another replica may have sealed it with a key that this one has not read yet.
        if found == Age::Foreign && self.look_for_keys().await {
            found = age(self);
        }
        match found {
            Age::Fresh(sealed_at) => Ok(sealed_at),
            Age::Stale | Age::Foreign => Err(NoProof::Nonce),
        }
    }

    /// Uses a proof up: with `[coordination]` it counts once on all replicas (RFC 9449 §11.1).
    ///
    /// Anybody can make a key and a proof. So what the proof goes with must be checked before.
    pub async fn spend_proof(&self, proof: &Dpop) -> Result<(), NoProof> {
        let Some(coordinator) = &self.bff.coordinator else {
            return Ok(());
        };
        let name = digest_text("proof", &[&proof.key, proof.jti.as_bytes()]);
        match coordinator.is_first(&name).await {
            Ok(false) => Err(NoProof::Repeated),
            Err(_) if coordinator.revocations_are_stale() => Err(NoProof::Unknown),
            Ok(true) | Err(_) => Ok(()),
        }
    }

    /// A nonce belongs to one frontend.
    fn nonce_context(&self) -> Vec<u8> {
        let frontend = self.frontend;
        format!("{} {}", frontend.name, frontend.origin).into_bytes()
    }

    /// Opens something, with another look at the key directory if its key is unknown here.
    pub async fn look_up<T>(
        &mut self,
        open: impl Fn(&Self) -> Result<(T, Kid), OpenError>,
    ) -> Result<(T, Kid), OpenError> {
        match open(self) {
            Err(OpenError::UnknownKey) if self.look_for_keys().await => open(self),
            opened => opened,
        }
    }
}

fn not_opened(error: OpenError) -> OpenResult {
    match error {
        OpenError::Rejected => OpenResult::Rejected,
        OpenError::UnknownKey => OpenResult::UnknownKey,
    }
}

/// The scheme to ask for: what an app must use, or has used.
const fn challenge(native: &NativeSettings, presented: Scheme) -> &'static str {
    match native.dpop {
        DpopRule::Required => Scheme::Dpop.as_str(),
        DpopRule::Optional => presented.as_str(),
    }
}
