//! Names and addresses that are parsed once and trusted from then on.
//!
//! # Invariants
//! - A [`FrontendName`] is safe inside a cookie name and never makes two frontends' cookies collide.
//! - A [`ReturnTo`] is a path on the frontend's own origin: joining it to that origin keeps the origin.
//! - A [`RequestPath`] means the same to routing, to policy and to the upstream.
//!
//! # Spec
//! RFC 3986 (URI), RFC 6454 (origin), RFC 9700 §4.11 (open redirection).

mod authority;
mod origin;
mod request_path;
mod return_to;

pub use authority::Authority;
pub use origin::{InvalidOrigin, Origin, is_loopback_host, values_of_host};
pub use request_path::{InvalidPath, RequestPath, decode, decode_alike, decodes_to};
pub use return_to::ReturnTo;

use std::fmt;
use std::sync::Arc;

/// Why a configured name cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("a name is 1 to 32 characters of a-z, 0-9 and '-', begins with a letter or digit{0}")]
pub struct InvalidName(&'static str);

/// Endings sealgate gives to its own cookie names; a frontend called `shop-seen` would share one with `shop`.
const COOKIE_SUFFIXES: [&str; 5] = ["-seen", "-login", "-out", "-hint", "-device"];

fn parse_name(text: &str) -> Result<Arc<str>, InvalidName> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=32).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'-')
        && text.bytes().next().is_some_and(plain);
    if fits {
        Ok(text.into())
    } else {
        Err(InvalidName(""))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text itself, not copied.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of one frontend, as in `[frontend.shop]`.
    FrontendName
}
name! {
    /// The name of one route of a frontend, as in `[frontend.shop.route.orders]`.
    RouteName
}
name! {
    /// The name of one upstream, as in `[upstream.orders]`.
    UpstreamName
}

/// The name of a part, which is a member of a JSON answer: `[frontend.shop.route.home.part.orders]`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PartName(Arc<str>);

/// Why a part cannot be called so.
#[derive(Debug, thiserror::Error)]
#[error("a part's name is 1 to 64 letters, digits, '_' and '-', and begins with a letter or digit")]
pub struct InvalidPartName;

impl PartName {
    /// Accepts a name that is safe in a header, in metric labels and in placeholders.
    pub fn parse(text: &str) -> Result<Self, InvalidPartName> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let begins_well = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins_well && text.len() <= 64 && text.bytes().all(is_inner) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPartName)
        }
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself, not copied.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FrontendName {
    /// Accepts a name that is safe in cookie names and metric labels.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if COOKIE_SUFFIXES.iter().any(|suffix| text.ends_with(suffix)) {
            return Err(InvalidName(
                ", and a frontend's must not end in -seen, -login, -out, -hint or -device (sealgate's own cookies do)",
            ));
        }
        parse_name(text).map(Self)
    }
}

impl RouteName {
    /// Accepts a name that is safe in metric labels.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        parse_name(text).map(Self)
    }
}

impl UpstreamName {
    /// Accepts a name that is safe in metric labels.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        parse_name(text).map(Self)
    }
}
