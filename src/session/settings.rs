//! What the configuration says about a frontend's cookies, resolved.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::names::{FrontendName, Origin};

/// `[frontend.<name>.session]`, resolved.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// A session's longest life; refresh never stretches it.
    pub absolute_timeout: Duration,
    /// A session's longest rest.
    pub idle_timeout: Duration,
    /// Whether its cookies outlive the browser, for as long as the session may.
    pub is_persistent: bool,
    /// `SameSite` of the session cookies.
    pub same_site: SameSite,
    /// Bytes of all cookies sealgate asks the browser to send to an API route: names, values, separators.
    pub max_bytes: usize,
    /// Claims of the ID token kept for `/bff/user`.
    pub claims: Vec<String>,
    /// How long before its end an access token is refreshed; at most a fifth of its lifetime.
    pub refresh_ahead: Duration,
    /// Sessions that began earlier are over (G16).
    pub not_before: Option<UnixTime>,
    /// Plaintexts are padded to a multiple of this many bytes (1: no padding; 4096 is the most).
    pub pad_to: usize,
    /// Whether what compresses is compressed.
    pub compression: Compression,
    /// Whether its sessions are bound to the browser's device.
    pub device_binding: DeviceBinding,
}

/// Whether sessions are bound to a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeviceBinding {
    /// No: nothing is offered, and nothing asked for.
    Off,
    /// Where the browser can.
    Preferred,
    /// A session that is not bound soon after its login is of no use.
    Required,
}

/// What sessions are compressed with when they are sealed. Whatever was sealed opens under either.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Nothing.
    None,
    /// zstd, with a dictionary of claims (RFC 8878).
    Zstd,
}

/// `SameSite` of a cookie (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SameSite {
    /// With top-level navigations too.
    Lax,
    /// Cross-site too; only for `form_post` logins.
    None,
    /// From the own site only.
    Strict,
}

impl SameSite {
    /// As it stands in `Set-Cookie`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::None => "None",
            Self::Strict => "Strict",
        }
    }
}

/// All that fixes a frontend's cookies.
#[derive(Clone, Debug)]
pub struct JarSettings {
    /// Part of every name and of the associated data.
    pub frontend: FrontendName,
    /// Part of the associated data; decides `Secure` and the prefix.
    pub origin: Origin,
    /// Part of the associated data.
    pub issuer: String,
    /// Part of the associated data.
    pub client_id: String,
    /// The hint cookie's path is `<base_path>/logout`.
    pub base_path: String,
    /// `SameSite` of login cookies: `Lax`, or `None` for `form_post`.
    pub login_same_site: SameSite,
    /// How long a login may take.
    pub login_timeout: Duration,
    /// Times and sizes.
    pub session: SessionSettings,
}
