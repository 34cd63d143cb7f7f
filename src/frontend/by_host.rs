//! All frontends of the process, found by `Host` in one look-up.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::app::Frontend;
use crate::keyring::SharedRing;
use crate::names::Authority;
use crate::problem::Problem;

/// All frontends of the process.
#[derive(Debug, Default)]
pub struct Frontends {
    all: Vec<Arc<Frontend>>,
    /// By each `Host` that names one, in lower case.
    by_host: HashMap<String, Arc<Frontend>>,
}

impl Frontends {
    /// Takes them in any order; `config` has made sure that no two share an origin or a host.
    pub fn new(frontends: Vec<Arc<Frontend>>) -> Self {
        let mut by_host = HashMap::new();
        for frontend in &frontends {
            let further = frontend.hosts.iter().cloned();
            for host in frontend.origin.hosts().into_iter().chain(further) {
                by_host.entry(host).or_insert_with(|| Arc::clone(frontend));
            }
        }
        Self {
            all: frontends,
            by_host,
        }
    }

    /// Takes over from an earlier configuration what still applies: what is known of providers, what was spent of limits.
    ///
    /// For frontends that are not in use yet.
    #[must_use]
    pub fn taking_over(self, old: &Self) -> Self {
        let Self { mut all, by_host } = self;
        drop(by_host);
        for frontend in &mut all {
            let before = old.iter().find(|old| old.name == frontend.name);
            if let (Some(frontend), Some(before)) = (Arc::get_mut(frontend), before) {
                frontend.take_over(before);
            }
        }
        Self::new(all)
    }

    /// The frontend that a `Host` value names. Case does not matter, nor does a default port (RFC 9110 §4.2.3).
    pub fn select(&self, host: &str) -> Result<&Arc<Frontend>, Problem> {
        let found = self.by_host.get(host).or_else(|| {
            // Browsers write it in lower case.
            let has_upper_case = host.bytes().any(|b| b.is_ascii_uppercase());
            let lower_case = has_upper_case.then(|| host.to_ascii_lowercase())?;
            self.by_host.get(&lower_case)
        });
        found.ok_or_else(|| Problem::UnknownFrontend {
            detail: Authority::parse(host)
                .map(|host| format!("no frontend has the host {}", host.as_str())),
        })
    }

    /// From now on the providers of all frontends prove possession with keys that follow from this ring.
    pub fn use_ring(&self, ring: &SharedRing) {
        for frontend in &self.all {
            frontend.provider.prover().use_ring(ring);
        }
    }

    /// Every frontend.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Frontend>> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use crate::names::Origin;

    /// The rule itself.
    fn names(host_as_sent: &str, origin: &Origin) -> bool {
        let default_port = if origin.is_secure() { ":443" } else { ":80" };
        let has_port = origin.host() != origin.authority();
        let implied = |port: &str| host_as_sent.strip_suffix(port).filter(|_| !has_port);
        let host = implied(default_port).or_else(|| implied(":"));
        host.unwrap_or(host_as_sent)
            .eq_ignore_ascii_case(origin.authority())
    }

    #[test]
    fn a_host_names_an_origin_in_any_case_and_with_a_default_port() {
        // T5: what one look into the map says is what a search says
        let asked = [
            "shop.example.com",
            "SHOP.example.com",
            "shop.example.com:443",
            "shop.example.com:80",
            "shop.example.com:8443",
            "shop.example.com:",
            "shop.example.com:8443:",
            "shop.example.com.",
            "shop.example.com.evil.test",
            "localhost",
            "LOCALHOST:80",
            "localhost:443",
            "localhost:8080",
            "localhost:",
            "[::1]",
            "[::1]:",
            "[::1]:8080",
            "",
        ];
        for origin in [
            "https://shop.example.com",
            "https://shop.example.com:8443",
            "http://localhost",
            "http://localhost:8080",
            "http://[::1]:8080",
        ] {
            let origin = Origin::parse(origin).unwrap();
            let known = origin.hosts();
            for host in asked {
                let is_known = known.contains(&host.to_ascii_lowercase());
                assert_eq!(is_known, names(host, &origin), "{origin} {host}");
            }
        }
    }
}
