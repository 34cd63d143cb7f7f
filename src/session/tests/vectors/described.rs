//! States in the words of the files.

use serde_json::{Value, json};

use super::hex;
use crate::clock::UnixTime;
use crate::oidc::TokenType;
use crate::session::binding::Proved;
use crate::session::encode::State;
use crate::session::state::{EndedMark, EndedMarks, LogoutState, Seen};
use crate::session::{LoginAttempt, LoginState, LogoutHint, Manner, Session};

/// A state in words.
pub(super) trait Described: State {
    fn described(&self) -> Value;
}

impl Described for Session {
    fn described(&self) -> Value {
        let tokens = &self.tokens;
        let mut described = json!({
            "id": hex(&self.id.0), "sealed_at": self.last_seen.as_secs(), "started_at": self.started_at.as_secs(),
            "ends_at": self.ends_at.as_secs(), "auth_time": self.auth_time.map(UnixTime::as_secs),
            "access_token": tokens.access_token.secret(),
            "refresh_token": tokens.refresh_token.as_ref().map(|token| token.secret().clone()),
            "received_at": tokens.issued_at.as_secs(), "expires_at": tokens.expires_at.as_secs(),
            "issuer": self.issuer, "subject": self.subject, "sid": self.idp_sid, "scope": tokens.scope,
            "claims": self.claims,
        });
        // A further field is in the files where it is in the cookie.
        if let Some(ends) = tokens.refresh_ends_at {
            described["refresh_ends_at"] = json!(ends.as_secs());
        }
        if let Some(key) = &self.device {
            described["device"] = json!(hex(key.as_bytes()));
        }
        if let TokenType::Dpop(kid) = tokens.token_type {
            described["token_key"] = json!(kid.to_string());
        }
        described
    }
}

impl Described for LoginAttempt {
    fn described(&self) -> Value {
        let mut described = json!({
            "state": self.state, "nonce": self.nonce.secret(), "verifier": self.verifier.secret(),
            "issuer": self.issuer, "return_to": self.rest, "begun_at": self.started_at.as_secs(),
            "silent": self.silent, "max_age": self.max_age, "acr_values": self.acr_values,
            "replaces": self.replaces.map(|session| hex(&session.0)),
        });
        if let Some(kid) = self.proof_key {
            described["code_key"] = json!(kid.to_string());
        }
        described
    }
}

impl Described for LoginState {
    fn described(&self) -> Value {
        let manner = match self.manner {
            Manner::Asking => 0,
            Manner::Quiet => 1,
            Manner::Silent => 2,
        };
        json!({
            "head": self.head, "is_cut": self.is_cut, "begun_at": self.begun_at.as_secs(), "manner": manner,
            "is_demanding": self.is_demanding, "is_second": self.is_second,
        })
    }
}

impl Described for LogoutHint {
    fn described(&self) -> Value {
        json!({ "session": hex(&self.session.0), "id_token": self.id_token })
    }
}

impl Described for Seen {
    fn described(&self) -> Value {
        json!({ "session": hex(&self.session.0), "activity": self.at.as_secs() })
    }
}

impl Described for Proved {
    fn described(&self) -> Value {
        json!({
            "binding": hex(self.binding.as_bytes()), "proved_at": self.at.as_secs(), "until": self.until.as_secs(),
        })
    }
}

impl Described for EndedMarks {
    fn described(&self) -> Value {
        let describe = |mark: &EndedMark| json!({ "session": hex(&mark.session.0), "until": mark.until.as_secs() });
        match &self.0[..] {
            [one] => describe(one),
            several => several.iter().map(describe).collect(),
        }
    }
}

impl Described for LogoutState {
    fn described(&self) -> Value {
        json!({ "return_to": self.return_to.as_str(), "begun_at": self.issued_at.as_secs() })
    }
}
