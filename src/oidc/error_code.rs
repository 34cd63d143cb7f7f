//! What a provider says when it refuses: a code for the log, and words for debugging.
//!
//! # Invariants
//! - We repeat only codes that a specification defines. A code that a provider made up becomes [`OTHER`].
//! - Its words go to the log at DEBUG only: on one line, cut, and without the secrets of ours that they may repeat.
//!
//! # Spec
//! RFC 6749 §4.1.2.1, §5.2; OpenID Connect Core §3.1.2.6; RFC 6750 §3.1; RFC 7009 §2.2.1; RFC 8628 §3.5; RFC 8707 §2;
//! RFC 9126 §2.3; RFC 9396 §5; RFC 9449 §5, §8; RFC 9470 §3; OpenID Connect Unmet Authentication Requirements 1.0.

/// In place of a code that no specification defines.
pub const OTHER: &str = "other";

/// Sorted.
const KNOWN: [&str; 31] = [
    "access_denied",
    "account_selection_required",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "insufficient_scope",
    "insufficient_user_authentication",
    "interaction_required",
    "invalid_authorization_details",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "registration_not_supported",
    "request_not_supported",
    "request_uri_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unmet_authentication_requirements",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "use_dpop_nonce",
];

/// Longest description in a log line, in characters.
const MOST: usize = 200;

/// Words longer than a UUID are keys, codes or tokens.
const LONGEST_WORD: usize = 36;

/// An error code as it may stand in a log.
pub fn known_code(code: &str) -> &'static str {
    KNOWN
        .into_iter()
        .find(|known| *known == code)
        .unwrap_or(OTHER)
}

/// Whether a code is about the client and its configuration. The provider would refuse the refresh of every session with such a
/// code, and signing in again would help no one. Any other code that waiting does not cure is about the session.
///
/// For a refresh token that is not good any more, RFC 6749 has only `invalid_grant`. Providers say other codes too: Dex
/// `invalid_request`, and `interaction_required` after a change of policy.
pub fn hits_every_session(code: &str) -> bool {
    matches!(
        code,
        "invalid_client"
            | "invalid_dpop_proof"
            | "invalid_scope"
            | "invalid_target"
            | "unauthorized_client"
            | "unsupported_grant_type"
            | "use_dpop_nonce"
    )
}

/// Whether a status without a code is about what the request carried: a provider, or a gateway in front of it, may find a refresh
/// token malformed or too long. Any other status may be about an address or a client.
pub(super) const fn speaks_of_the_request(status: u16) -> bool {
    matches!(status, 400 | 413 | 414 | 422 | 431)
}

/// A provider's own words as they may stand in a log: on one line, without `secrets`, and without what looks like one.
pub fn quotable(words: &str, secrets: &[&str]) -> String {
    let mut words = words.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        words = words.replace(secret, "…");
    }
    let is_of_tokens = |c: char| c.is_ascii_alphanumeric() || "-._~+/=%".contains(c);
    let mut quotable = String::new();
    for stretch in words.split_inclusive(|c| !is_of_tokens(c)) {
        let word = stretch.trim_end_matches(|c| !is_of_tokens(c));
        let rest = stretch.strip_prefix(word).unwrap_or_default();
        quotable.push_str(if word.len() > LONGEST_WORD {
            "…"
        } else {
            word
        });
        quotable.push_str(rest);
    }
    quotable
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_the_specifications_is_itself_and_any_other_is_other() {
        assert!(KNOWN.is_sorted());
        assert_eq!(known_code("invalid_grant"), "invalid_grant");
        for code in ["", "INVALID_GRANT", "invalid_grant ", "canary", "other"] {
            assert_eq!(known_code(code), OTHER, "{code}");
        }
    }

    #[test]
    fn only_what_is_about_the_client_hits_every_session() {
        // P01, lua-resty-openidc#50; V1, Dex
        let of_the_client = KNOWN.into_iter().filter(|code| hits_every_session(code));
        assert_eq!(of_the_client.count(), 7);
        for code in [
            "invalid_grant",
            "invalid_request",
            "interaction_required",
            OTHER,
        ] {
            assert!(!hits_every_session(code), "{code}");
        }
    }

    #[test]
    fn words_are_cut_escaped_and_repeat_no_secret() {
        // N2, F14
        let uuid = "0b7e3c7e-0000-4000-8000-6f1f5b9a0c11";
        for (words, expected) in [
            (
                "Not allowed: PAR is required.",
                "Not allowed: PAR is required.",
            ),
            ("code s e c r e t/1 was used", "code … was used"),
            (
                "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln, and more",
                "token …, and more",
            ),
            (&format!("Trace ID: {uuid}"), &format!("Trace ID: {uuid}")),
            (
                "a\r\nFORGED line\u{1b}[31m",
                "a\\r\\nFORGED line\\u{1b}[31m",
            ),
            ("", ""),
        ] {
            assert_eq!(quotable(words, &["s e c r e t/1", ""]), expected);
        }
        assert_eq!(quotable(&"ü ".repeat(500), &[]).chars().count(), MOST);
    }
}
