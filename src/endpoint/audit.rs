//! What the audit says of sessions that begin and end here.

use log::kv::{ToValue as _, Value};
use log::{Level, Record};

use crate::request::Ctx;
use crate::session::Session;

/// Writes that something happened to a session, and, if lines say so, to whom.
pub(super) fn audit(ctx: &Ctx<'_>, session: &Session, what: &str) {
    let telling = ctx.bff.configured.load().telling;
    let id = session.id.short();
    let subject = telling.subject.told(&session.subject);
    let mut fields: Vec<(&str, Value<'_>)> = vec![("session", id.to_value())];
    if let Some(subject) = &subject {
        fields.push(("subject", subject.to_value()));
    }
    log::logger().log(
        &Record::builder()
            .level(Level::Info)
            .target("sealgate::audit")
            .key_values(&fields)
            .args(format_args!("{what}"))
            .build(),
    );
}
