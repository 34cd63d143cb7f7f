//! Issuers with a tenant in them. At Entra ID one application signs in users of many tenants, and each tenant is an issuer of its own.
//!
//! # Invariants
//! - The configured issuer is a template. A token's `iss` is the template with one tenant in place of [`PLACEHOLDER`], byte for byte, and the
//!   configuration allows this tenant.
//! - The `tid` of an ID token names the same tenant.
//! - A key that names its issuer signs for this issuer only, be it a template or one tenant's.
//!
//! # Spec
//! OpenID Connect Discovery 1.0 §4.3 wants one issuer. Entra ID deviates: its common metadata has the template as `issuer`, and so have
//! its keys.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::ClientSettings;
use super::jwt::{self, Refusal};
use super::keys::KeySet;

/// What stands in the issuer in place of a tenant, as Entra ID's metadata spells it.
pub const PLACEHOLDER: &str = "{tenantid}";

/// The tenant whose metadata is good for all of them.
const COMMON: &str = "organizations";

/// Longest name of a tenant, in bytes. A GUID has 36.
const MAX_TENANT: usize = 128;

/// Whose users may sign in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Tenants {
    /// The issuer is not a template.
    #[default]
    OneIssuer,
    /// Those of every tenant.
    Any,
    /// Those of these tenants.
    Listed(Vec<String>),
}

impl Tenants {
    fn allow(&self, tenant: &str) -> bool {
        match self {
            Self::OneIssuer => false,
            Self::Any => true,
            Self::Listed(all) => all.iter().any(|one| one == tenant),
        }
    }
}

/// Whether this may be the name of a tenant. It becomes part of an issuer.
pub fn is_tenant(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=MAX_TENANT).contains(&text.len()) && text.bytes().all(is_plain)
}

impl ClientSettings {
    /// The issuer as an address under which its metadata may be asked for.
    pub(super) fn issuer_address(&self) -> Cow<'_, str> {
        match self.tenants {
            Tenants::OneIssuer => Cow::Borrowed(&self.issuer),
            Tenants::Any | Tenants::Listed(_) => {
                Cow::Owned(self.issuer.replace(PLACEHOLDER, COMMON))
            }
        }
    }

    /// Whether tokens and answers of this issuer are ours to read.
    pub fn is_issuer(&self, iss: &str) -> bool {
        self.check_issuer(iss, None).is_ok()
    }

    /// Checks `iss`, and `tid` where the issuer has a tenant in it.
    pub(super) fn check_issuer_of(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let iss = jwt::text(claims, "iss").unwrap_or_default();
        self.check_issuer(iss, claims.get("tid"))
    }

    fn check_issuer(&self, iss: &str, tid: Option<&Value>) -> Result<(), Refusal> {
        let another = Refusal::Rule("iss is missing or another issuer");
        if self.tenants == Tenants::OneIssuer {
            return (iss == self.issuer).then_some(()).ok_or(another);
        }
        let tenant = self.tenant_of(iss).ok_or(another)?;
        if tid.is_some_and(|tid| tid.as_str() != Some(tenant)) {
            return Err(Refusal::Rule("iss is not that of its tenant (tid)"));
        }
        if !self.tenants.allow(tenant) {
            return Err(Refusal::Rule("its tenant (tid) is not in oidc.tenants"));
        }
        Ok(())
    }

    /// An ID token says of which tenant it is. A logout token need not.
    pub(super) fn check_tid(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        if self.tenants == Tenants::OneIssuer || claims.contains_key("tid") {
            return Ok(());
        }
        Err(Refusal::Rule("tid is missing, so nobody knows its tenant"))
    }

    fn tenant_of<'i>(&self, iss: &'i str) -> Option<&'i str> {
        let (before, behind) = self.issuer.split_once(PLACEHOLDER)?;
        let tenant = iss.strip_prefix(before)?.strip_suffix(behind)?;
        is_tenant(tenant).then_some(tenant)
    }

    /// The keys that may sign in the name of this issuer.
    pub(super) fn keys_of<'k>(
        &self,
        keys: &'k KeySet,
        claims: &Map<String, Value>,
    ) -> Cow<'k, KeySet> {
        if self.tenants == Tenants::OneIssuer {
            return Cow::Borrowed(keys);
        }
        let iss = jwt::text(claims, "iss");
        Cow::Owned(keys.naming(&[&self.issuer, iss.unwrap_or_default()]))
    }
}
