//! What a provider does without, or insists on, as its metadata says: for the log at start, and for `--check --online`.
//!
//! # Spec
//! RFC 7009; RFC 9126 §5; RFC 9207 §3; OpenID Connect RP-Initiated Logout 1.0 §2.1, Back-Channel Logout 1.0 §2.1.

use std::fmt;

use super::members::Members;

/// One thing that an operator should know of a provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gap {
    /// There is no `revocation_endpoint`.
    Revocation,
    /// There is no `end_session_endpoint`.
    EndSession,
    /// `backchannel_logout_supported` is not `true`.
    BackchannelLogout,
    /// `authorization_response_iss_parameter_supported` is not `true`.
    IssParameter,
    /// `require_pushed_authorization_requests` is `true`.
    PushedRequestsRequired,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revocation => "no token revocation, so tokens outlive a logout",
            Self::EndSession => "no end of session, so a logout leaves the user signed in there",
            Self::BackchannelLogout => {
                "no back-channel logout, so sessions here outlive the user's session there"
            }
            Self::IssParameter => "no iss in authorization responses (RFC 9207)",
            Self::PushedRequestsRequired => "it requires pushed authorization requests (RFC 9126)",
        })
    }
}

/// What the metadata says. Addresses that the configuration has in place of the metadata's count.
pub(super) fn of(document: &Members, has_revocation: bool, has_end_session: bool) -> Vec<Gap> {
    let says = |name| document.flag(name) == Ok(true);
    [
        (!has_revocation, Gap::Revocation),
        (!has_end_session, Gap::EndSession),
        (
            !says("backchannel_logout_supported"),
            Gap::BackchannelLogout,
        ),
        (
            !says("authorization_response_iss_parameter_supported"),
            Gap::IssParameter,
        ),
        (
            says("require_pushed_authorization_requests"),
            Gap::PushedRequestsRequired,
        ),
    ]
    .into_iter()
    .filter_map(|(applies, gap)| applies.then_some(gap))
    .collect()
}
