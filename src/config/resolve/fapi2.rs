//! `[frontend.<name>.oidc] profile = "fapi2"`: what FAPI 2.0 Security Profile asks of a client.
//!
//! A key that nobody has set gets the value that the profile wants. A key that says something else is a mistake.
//!
//! # Spec
//! FAPI 2.0 Security Profile §5.3.3, §5.4. PKCE S256, the response type `code`, one string as `aud` of an assertion, and TLS 1.2 or newer
//! are always so here.

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::config::settings::Oidc;
use crate::names::is_loopback_host;
use crate::oidc::Profile;

/// The profile, and the settings as they are under it.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    oidc: &Oidc,
) -> Option<(Option<Profile>, Oidc)> {
    let mut oidc = oidc.clone();
    let Some(text) = &oidc.profile else {
        return Some((None, oidc));
    };
    let profile = resolver.choice(&at.child("profile"), text, &[("fapi2", Profile::Fapi2)])?;
    let mut rules = Rules { resolver, at };
    rules.sets("par", &mut oidc.par, &["always"]);
    // §5.3.3.1, RFC 8705 §3: a certificate binds tokens as well.
    let binds: &[&str] = match oidc.client_cert {
        Some(_) => &["never", "always"],
        None => &["always"],
    };
    rules.sets("dpop", &mut oidc.dpop, binds);
    let methods: &[&str] = match (&oidc.client_key, &oidc.client_cert) {
        (None, Some(_)) => &[
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "private_key_jwt",
        ],
        _ => &[
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
        ],
    };
    rules.sets("client_auth", &mut oidc.client_auth, methods);
    if let Some(algorithm) = &mut oidc.id_token_signed_response_alg {
        let name = "id_token_signed_response_alg";
        rules.sets(name, algorithm, &["PS256", "ES256", "EdDSA"]);
    }
    rules.transport(&oidc);
    Some((Some(profile), oidc))
}

struct Rules<'r, 'w> {
    resolver: &'r mut Resolver<'w>,
    at: &'r KeyPath,
}

impl Rules<'_, '_> {
    /// A key is one of these. The first is its value unless somebody has set it.
    fn sets(&mut self, key: &str, value: &mut String, wanted: &[&str]) {
        let at = self.at.child(key);
        if wanted.contains(&value.as_str()) {
            return;
        }
        let first = wanted.first().copied().unwrap_or_default();
        if self.resolver.is_set(&at) {
            let words = wanted.join("\", \"");
            self.resolver.wrong(
                &at,
                format!("profile = \"fapi2\" allows \"{words}\" only"),
                format!("write {key} = \"{first}\", or remove it"),
            );
        }
        first.clone_into(value);
    }

    /// §5.4.2: TLS everywhere. A provider on this machine is for development.
    fn transport(&mut self, oidc: &Oidc) {
        let fine = !oidc.allow_http.0;
        self.resolver.ensure(
            fine,
            &self.at.child("allow_http"),
            "profile = \"fapi2\" allows TLS only",
            "remove it, and use https://",
        );
        let issuer = oidc.issuer.as_deref().unwrap_or_default();
        let issuer = url::Url::parse(issuer).ok();
        let is_plain = issuer.is_some_and(|url| {
            url.scheme() == "http" && url.host().is_some_and(|host| is_loopback_host(&host))
        });
        if is_plain {
            self.resolver.warn(
                &self.at.child("issuer"),
                "a provider without TLS is for development only: profile = \"fapi2\" asks for https://",
            );
        }
    }
}
