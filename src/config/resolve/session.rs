//! `[frontend.<name>.session]`.

use std::time::Duration;

use super::resolver::{DAY, Resolver, SECOND};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::session::{Compression, DeviceBinding, SameSite, SessionSettings};

/// RFC 6265bis §5.5: browsers do not keep a cookie longer than 400 days.
const LONGEST: Duration = DAY.saturating_mul(400);

/// A token alone is about 1 KiB. `guard` accepts header sections of 48 KiB, which must also hold the other headers.
const MAX_BYTES: std::ops::RangeInclusive<u64> = 1024..=32_768;

/// One frontend's session settings.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    session: &settings::Session,
) -> Option<SessionSettings> {
    let absolute_timeout = session.absolute_timeout.0;
    let idle_timeout = session.idle_timeout.0;
    let refresh_ahead = session.refresh_ahead.0;
    let absolute_at = at.child("absolute_timeout");
    resolver.within(&absolute_at, absolute_timeout, SECOND, LONGEST);
    // Nothing is compared with what is a mistake itself.
    let is_long = absolute_timeout >= SECOND;
    resolver.within(&at.child("idle_timeout"), idle_timeout, SECOND, LONGEST);
    resolver.ensure(
        !is_long || idle_timeout <= absolute_timeout,
        &at.child("idle_timeout"),
        "this is longer than absolute_timeout, which ends the session first",
        "write at most absolute_timeout",
    );
    resolver.ensure(
        !is_long || refresh_ahead < absolute_timeout,
        &at.child("refresh_ahead"),
        "this is not shorter than absolute_timeout",
        "write a shorter duration, such as \"60s\"",
    );
    let same_site = resolver.choice(
        &at.child("same_site"),
        &session.same_site,
        &[("strict", SameSite::Strict), ("lax", SameSite::Lax)],
    );
    resolver.ensure(
        MAX_BYTES.contains(&session.max_bytes.0),
        &at.child("max_bytes"),
        "out of bounds",
        "write a size from 1KiB to 32KiB; many servers refuse headers over 8KiB",
    );
    hint_for_nginx(resolver, &at.child("max_bytes"), session.max_bytes.0);
    resolver.ensure(
        (1..=4096).contains(&session.pad_to.0),
        &at.child("pad_to"),
        "out of bounds",
        "write a number of bytes from 1 (no padding) to 4096",
    );
    let compression = resolver.choice(
        &at.child("compression"),
        &session.compression,
        &[("zstd", Compression::Zstd), ("none", Compression::None)],
    );
    let device_binding = resolver.choice(
        &at.child("device_binding"),
        &session.device_binding,
        &[
            ("off", DeviceBinding::Off),
            ("preferred", DeviceBinding::Preferred),
            ("required", DeviceBinding::Required),
        ],
    );
    let claims_at = at.child("claims");
    let mut claims: Vec<String> = Vec::new();
    for claim in &session.claims {
        let fine = !matches!(claim.as_str(), "" | "*") && !claim.chars().any(char::is_control);
        resolver.ensure(
            fine && !claims.contains(claim),
            &claims_at,
            "a claim's name is empty, a star, repeated or has control characters",
            "name each claim once",
        );
        claims.push(claim.clone());
    }
    Some(SessionSettings {
        absolute_timeout,
        idle_timeout,
        is_persistent: session.persistent.0,
        same_site: same_site?,
        max_bytes: usize::try_from(session.max_bytes.0).ok()?,
        claims,
        refresh_ahead,
        not_before: session.not_before.map(|moment| moment.0),
        pad_to: session.pad_to.0,
        compression: compression?,
        device_binding: device_binding?,
    })
}

/// nginx accepts an answer if its head fits into one buffer, and a request if each header line does.
fn hint_for_nginx(resolver: &mut Resolver<'_>, at: &KeyPath, max_bytes: u64) {
    /// A session of this size and the rest of a login's answer fit into nginx's default buffer of 4 KiB.
    const FITS: u64 = 2048;
    /// The logout hint, a cookie of its own, and the rest of the answer.
    const BESIDE: u64 = 4096 + 2048;

    if max_bytes <= FITS || !MAX_BYTES.contains(&max_bytes) {
        return;
    }
    let kib = max_bytes.saturating_add(BESIDE).next_power_of_two() / 1024;
    resolver.hint(
        at,
        &format!(
            "if nginx is in front, its defaults answer 502 to logins with large tokens; give it \
             `proxy_buffer_size {kib}k; proxy_buffers 4 {kib}k; large_client_header_buffers 4 {kib}k;`"
        ),
    );
}
