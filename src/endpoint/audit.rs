//! What the audit says of sessions that begin and end here.

use crate::request::Ctx;
use crate::session::Session;

/// Writes that something happened to a session, and, if lines say so, to whom.
pub(super) fn audit(ctx: &Ctx<'_>, session: &Session, what: &str) {
    let telling = ctx.bff.configured.load().telling;
    let id = session.id.fingerprint();
    match telling.subject.told(&session.subject) {
        None => log::info!(target: "sealgate::audit", session = id; "{what}"),
        Some(subject) => {
            log::info!(target: "sealgate::audit", session = id, subject = subject; "{what}");
        }
    }
}
