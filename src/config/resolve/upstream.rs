//! `[upstream.<name>]`.

use std::net::SocketAddr;

use url::Host;

use super::resolver::{DAY, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::UpstreamSettings;
use crate::names::UpstreamName;
use crate::tls;

/// As many as a host has ports.
const MAX_CONNECTIONS: usize = 65_535;

/// Every upstream; `None` if one cannot be used.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
) -> Option<Vec<(UpstreamName, UpstreamSettings)>> {
    let settings = &resolver.written.settings;
    let upstreams: Vec<_> = settings
        .upstream
        .iter()
        .filter_map(|(name, upstream)| one(resolver, name, upstream))
        .collect();
    for name in settings.upstream.keys() {
        let used = settings
            .frontend
            .values()
            .flat_map(|frontend| frontend.route.values())
            .any(|route| {
                let mut parts = route.part.values();
                route.upstream.as_ref() == Some(name)
                    || parts.any(|part| part.upstream.as_ref() == Some(name))
            });
        if !used {
            resolver.warn(
                &KeyPath::of(["upstream", name]),
                "no route leads to this upstream",
            );
        }
    }
    (upstreams.len() == settings.upstream.len()).then_some(upstreams)
}

/// Warns of an upstream that is sealgate itself.
pub(super) fn warn_of_circles(
    resolver: &mut Resolver<'_>,
    upstreams: &[(UpstreamName, UpstreamSettings)],
    bind: SocketAddr,
) {
    for (name, settings) in upstreams {
        let url = &settings.url;
        let is_here = url.host().is_some_and(|host| {
            let is_any = bind.ip().is_unspecified();
            match host {
                Host::Domain(name) => name == "localhost" && (is_any || bind.ip().is_loopback()),
                Host::Ipv4(ip) => {
                    bind.ip() == ip || ((ip.is_loopback() || ip.is_unspecified()) && is_any)
                }
                Host::Ipv6(ip) => {
                    bind.ip() == ip || ((ip.is_loopback() || ip.is_unspecified()) && is_any)
                }
            }
        });
        if is_here && url.port_or_known_default() == Some(bind.port()) {
            resolver.warn(
                &KeyPath::of(["upstream", name.as_str(), "url"]),
                "sealgate itself listens there (server.bind), so requests would go round in a circle: name the API's own address",
            );
        }
    }
}

fn one(
    resolver: &mut Resolver<'_>,
    name: &str,
    upstream: &settings::Upstream,
) -> Option<(UpstreamName, UpstreamSettings)> {
    let at = KeyPath::of(["upstream", name]);
    let parsed = UpstreamName::parse(name);
    if let Err(error) = &parsed {
        resolver.wrong(&at, error.to_string(), "choose another name");
    }
    let example = "http://orders.internal:8080/v1";
    let url = resolver
        .required(
            &at.child("url"),
            upstream.url.as_ref(),
            &format!("write the API's base URL, such as \"{example}\""),
        )
        .and_then(|text| resolver.bare_url(&at.child("url"), text, example))
        .map(|mut url| {
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            url
        });
    let least = std::time::Duration::from_millis(1);
    let timeout = resolver.within(&at.child("timeout"), upstream.timeout.0, least, DAY);
    let idle_timeout = resolver.within(
        &at.child("idle_timeout"),
        upstream.idle_timeout.0,
        least,
        DAY,
    );
    let most = upstream.max_connections.0;
    resolver.ensure(
        (1..=MAX_CONNECTIONS).contains(&most),
        &at.child("max_connections"),
        "out of bounds",
        "write a number from 1 to 65535",
    );
    let ca = upstream.ca.as_ref().and_then(|text| {
        let ca_at = at.child("ca");
        let path = resolver.path(&ca_at, text);
        let anchors = tls::trust_anchors(&path).map_err(|error| {
            let remedy = "name a PEM file of CA certificates";
            resolver.wrong(&ca_at, error.to_string(), remedy);
        });
        if url.as_ref().is_some_and(|url| url.scheme() == "http") {
            resolver.wrong(
                &ca_at,
                "ca has no meaning for an upstream without TLS",
                "make url begin with https://, or remove ca",
            );
        }
        anchors.ok()
    });
    let settings = UpstreamSettings {
        url: url?,
        timeout,
        idle_timeout,
        max_connections: most,
        ca,
    };
    Some((parsed.ok()?, settings))
}
