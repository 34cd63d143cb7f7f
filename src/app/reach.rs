//! `--check --online`: finds what would fail at the first login and the first call.

use std::time::Duration;

use super::coordinator;
use crate::clock::Clock;
use crate::config::Config;
use crate::keyring::SharedRing;
use crate::oidc::{IdpClient, OidcError};
use crate::proxy::Upstreams;
use crate::telemetry::metrics::{Metrics, Reloads};

/// What `--check --online` found.
#[derive(Debug, Default)]
pub struct Reached {
    /// Messages about what makes logins or calls fail.
    pub failures: Vec<String>,
    /// Messages about what an operator should know.
    pub notes: Vec<String>,
}

/// For `--check --online`: tries each client at its identity provider, each upstream and the store once.
pub async fn reach(config: &Config) -> Reached {
    const PATIENCE: Duration = Duration::from_secs(5);
    // Whoever asks has reported a key ring that does not load.
    let now = Clock::system().now();
    if let Ok(keys) = SharedRing::load(&config.keys.dir, now, Reloads::default()) {
        config.frontends.use_ring(&keys);
    }
    let mut reached = Reached::default();
    let Reached { failures, notes } = &mut reached;
    let idp = IdpClient::new(&config.egress, PATIENCE);
    for frontend in config.frontends.iter() {
        let provider = &frontend.provider;
        let issuer = &provider.settings().issuer;
        let at = |key: &str| format!("frontend.{}.oidc.{key}", frontend.name);
        let found = match provider.discover(&idp).await {
            Ok(()) => {
                // Providers that have `sid` seldom list it.
                let claims = frontend.session.claims.iter();
                let claims: Vec<_> = claims.filter(|name| *name != "sid").cloned().collect();
                provider.try_client(&idp, &claims).await
            }
            Err(error) => Err(error),
        };
        match found {
            Err(error) => {
                let remedy = find_issuer(issuer, &error);
                let at = at("issuer");
                failures.push(format!("{at} ({issuer}): {error}\n    → {remedy}"));
            }
            Ok(findings) => {
                for finding in findings {
                    let at = at(finding.key);
                    let what = format!("{at} ({issuer}): {}", finding.what);
                    match finding.remedy {
                        Some(remedy) => failures.push(format!("{what}\n    → {remedy}")),
                        None => notes.push(what),
                    }
                }
            }
        }
    }
    match Upstreams::new(&config.upstreams, &Metrics::default()) {
        Err(mistake) => failures.push(mistake),
        Ok(upstreams) => {
            for (name, why) in upstreams.silent(PATIENCE).await {
                let upstream = config.upstreams.get(&name);
                let url = upstream.map_or("", |upstream| upstream.url.as_str());
                let remedy = connect(url, &why, &format!("into upstream.{name}.ca"));
                failures.push(format!(
                    "upstream.{name}.url ({url}): {why}\n    → {remedy}"
                ));
            }
        }
    }
    if let Err(why) = reach_store(config).await {
        failures.push(format!(
            "coordination.url: {why}\n    → see that the store runs, can be reached from here, and takes writes, or correct the URL"
        ));
    }
    reached
}

async fn reach_store(config: &Config) -> Result<(), String> {
    let metrics = Metrics::default();
    let settings = config.coordination.as_ref();
    match coordinator(settings, &config.frontends, &metrics) {
        Ok(Some(coordinator)) => coordinator.reach().await,
        Ok(None) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// What to do about an issuer at which no provider is found.
fn find_issuer(issuer: &str, error: &OidcError) -> String {
    match error {
        OidcError::Invalid(why) if why.contains(": issuer is ") => {
            "write the issuer exactly as the provider spells it, to the last slash".to_owned()
        }
        OidcError::Invalid(why) if why.contains(": status ") => format!(
            "see that the provider has metadata at {}/.well-known/openid-configuration, or name their address in discovery_url",
            issuer.trim_end_matches('/')
        ),
        OidcError::Invalid(_) => "see that this is an OpenID provider, and its issuer".to_owned(),
        error => connect(
            issuer,
            &error.to_string(),
            "in a file that SSL_CERT_FILE names",
        ),
    }
}

/// What to do about an address that does not answer. `authorities` says where to put certificate authorities.
fn connect(url: &str, why: &str, authorities: &str) -> String {
    // As rustls and hyper put it.
    if why.contains("invalid peer certificate") {
        return format!(
            "see that the certificate is for this host and in date; if a certificate authority of your own has signed it, put that one {authorities}"
        );
    }
    // A call says of its failures whether they came before the connection stood. TLS is part of that.
    let is_early = why.starts_with("no connection");
    let has_no_socket = why.contains("tcp connect error") || why.contains("dns error");
    let is_handshake = why.contains("InvalidContentType") || (is_early && !has_no_socket);
    if url.starts_with("https://") && is_handshake {
        return "it does not speak TLS there: write http:// if it speaks plain HTTP, or correct the port".to_owned();
    }
    let is_cut = why.starts_with("no answer on the connection");
    if url.starts_with("http://") && is_cut {
        return "it does not speak plain HTTP there: if it speaks TLS, write https://".to_owned();
    }
    "see that it runs and can be reached from here, or correct the URL".to_owned()
}
