//! `[server]` and `[keys]`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::certificate;
use super::resolver::{DAY, HOUR, Noted, Resolver, SECOND};
use crate::config::key_path::KeyPath;
use crate::config::resolved::{KeysSettings, ServerSettings, TlsFiles};
use crate::config::settings;
use crate::tls;

/// `[server]`
pub(super) fn resolve(resolver: &mut Resolver<'_>) -> Option<ServerSettings> {
    let settings = &resolver.written.settings.server;
    let at = KeyPath::of(["server"]);
    let bind = address(resolver, &at.child("bind"), &settings.bind);
    let admin_bind = admin_bind(resolver);
    if let Some((bind, admin_bind)) = bind.zip(admin_bind)
        && collide(bind, admin_bind)
    {
        resolver.wrong(
            &at.child("admin_bind"),
            "this is the address of the public listener",
            "give server.admin_bind another port: metrics are not for the public",
        );
    }
    if admin_bind.is_some_and(|address| is_for_everybody(address.ip())) {
        resolver.warn(
            &at.child("admin_bind"),
            "everybody who can reach this machine can read the metrics: bind a loopback address, or let only probes and \
             monitoring reach this port",
        );
    }
    let admin_hosts = names(resolver, &at.child("admin_hosts"));
    let workers = settings.workers.0;
    resolver.ensure(
        (1..=1024).contains(&workers),
        &at.child("workers"),
        "out of bounds",
        "write a number from 1 to 1024",
    );
    let trusted_proxies = networks(resolver, &at.child("trusted_proxies"));
    let shutdown_delay = settings.shutdown_delay.0;
    let shutdown_grace = settings.shutdown_grace.0;
    resolver.within(
        &at.child("shutdown_delay"),
        shutdown_delay,
        Duration::ZERO,
        HOUR,
    );
    resolver.within(
        &at.child("shutdown_grace"),
        shutdown_grace,
        Duration::ZERO,
        HOUR,
    );
    let reload_interval = settings.reload_interval.0;
    resolver.within(&at.child("reload_interval"), reload_interval, SECOND, DAY);
    let tls = tls_files(resolver, &at.child("tls"));
    let is_https = |frontend: &settings::Frontend| {
        let origin = frontend.origin.as_ref();
        origin.is_some_and(|origin| origin.starts_with("https:"))
    };
    let mut frontends = resolver.written.settings.frontend.values();
    if settings.tls.is_none() && settings.trusted_proxies.is_empty() && frontends.any(is_https) {
        resolver.hint(
            &at.child("trusted_proxies"),
            "an origin is https:// and there is no server.tls: if a proxy in front terminates TLS, name its network here, or \
             every client counts as the proxy's address; if there is none, add server.tls",
        );
    }
    Some(ServerSettings {
        bind: bind?,
        admin_bind: admin_bind?,
        admin_hosts,
        workers,
        trusted_proxies: trusted_proxies?,
        shutdown_delay,
        shutdown_grace,
        tls: tls.ok()?,
        reload_interval,
    })
}

/// `server.admin_bind`
pub(super) fn admin_bind(resolver: &mut Resolver<'_>) -> Option<SocketAddr> {
    let text = &resolver.written.settings.server.admin_bind;
    address(resolver, &KeyPath::of(["server", "admin_bind"]), text)
}

/// `[keys]`
pub(super) fn keys(resolver: &mut Resolver<'_>) -> KeysSettings {
    let settings = &resolver.written.settings;
    let at = KeyPath::of(["keys"]);
    resolver.ensure(
        !settings.keys.dir.is_empty(),
        &at.child("dir"),
        "the path is empty",
        "name the directory of the key ring",
    );
    let activation_delay = settings.keys.activation_delay.0;
    let reload_interval = settings.keys.reload_interval.0;
    let retire_after = settings.keys.retire_after.map(|span| span.0);
    let year = DAY * 366;
    resolver.within(
        &at.child("activation_delay"),
        activation_delay,
        Duration::ZERO,
        year,
    );
    resolver.within(&at.child("reload_interval"), reload_interval, SECOND, DAY);
    if let Some(span) = retire_after {
        resolver.within(&at.child("retire_after"), span, SECOND, year * 10);
    }
    if activation_delay < reload_interval {
        resolver.warn(
            &at.child("activation_delay"),
            "this is shorter than keys.reload_interval: a replica may meet cookies sealed with a key that it has not read yet",
        );
    }
    let longest_session = settings
        .frontend
        .values()
        .flat_map(|frontend| {
            let of_apps = frontend.native.as_ref();
            let of_apps = of_apps.map(|native| native.absolute_timeout.0);
            of_apps
                .into_iter()
                .chain([frontend.session.absolute_timeout.0])
        })
        .max();
    if retire_after < longest_session && retire_after.is_some() {
        resolver.warn(
            &at.child("retire_after"),
            "this is shorter than the longest absolute_timeout: a rotation may end sessions early",
        );
    }
    KeysSettings {
        dir: resolver.private_path(&at.child("dir"), &settings.keys.dir),
        activation_delay,
        reload_interval,
        retire_after,
        longest_session,
    }
}

fn address(resolver: &mut Resolver<'_>, at: &KeyPath, text: &str) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        resolver.wrong(
            at,
            format!("{text:?} is not an IP address with a port"),
            "write one such as \"0.0.0.0:8080\", \"127.0.0.1:9090\" or \"[::]:8080\"",
        );
    }
    address
}

/// Whether a listener on this address can be reached from outside private networks.
fn is_for_everybody(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            address.is_unspecified()
                || !(address.is_loopback()
                    || address.is_private()
                    || address.is_link_local()
                    || is_shared)
        }
        IpAddr::V6(address) => {
            address.is_unspecified()
                || !(address.is_loopback()
                    || address.is_unique_local()
                    || address.is_unicast_link_local())
        }
    }
}

/// Whether a network is wider than the widest private ones, 10.0.0.0/8 and `fc00::/7` (RFC 1918, RFC 4193), or than any
/// that one operator has in IPv6.
fn is_too_wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => {
            network.prefix_len()
                < if network.network().is_unique_local() {
                    7
                } else {
                    16
                }
        }
    }
}

/// `server.admin_hosts`
fn names(resolver: &mut Resolver<'_>, at: &KeyPath) -> Vec<String> {
    let texts = &resolver.written.settings.server.admin_hosts;
    for text in texts {
        let is_name = !text.is_empty()
            && text.len() <= 253
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        resolver.ensure(
            is_name,
            at,
            &format!("{text:?} is not a host name"),
            "write full names without scheme and port: [\"sealgate.internal\"]",
        );
        resolver.ensure(
            text.parse::<IpAddr>().is_err() && text != "localhost",
            at,
            &format!("{text:?} does not need an entry"),
            "remove it: the listener always answers to addresses and localhost",
        );
    }
    texts.iter().map(|text| text.to_ascii_lowercase()).collect()
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same
}

fn networks(resolver: &mut Resolver<'_>, at: &KeyPath) -> Option<Vec<IpNet>> {
    let texts = &resolver.written.settings.server.trusted_proxies;
    let networks: Vec<IpNet> = texts
        .iter()
        .filter_map(|text| {
            let network = text
                .parse()
                .or_else(|_| text.parse().map(|address: IpAddr| address.into()));
            if network.is_err() {
                resolver.wrong(
                    at,
                    format!("{text:?} is not a network"),
                    "write networks such as \"10.0.0.0/8\" or \"fd00::/8\"",
                );
            }
            network.ok()
        })
        .collect();
    for (text, network) in texts.iter().zip(&networks) {
        if networks.len() == texts.len() && network.addr() != network.network() {
            resolver.warn(
                at,
                &format!(
                    "{text} is an address inside a network: all of {} is trusted; write that, or the address alone",
                    network.trunc()
                ),
            );
        }
    }
    // The union, because the whole address space may be written in parts.
    let whole = IpNet::aggregate(&networks);
    if whole.iter().any(|network| network.prefix_len() == 0) {
        resolver.warn(
            at,
            "every client can claim any address: trust only your proxies' networks",
        );
    } else if let Some(network) = whole.iter().find(|network| is_too_wide(network)) {
        resolver.warn(
            at,
            &format!(
                "{network} is wider than any network of proxies, and everybody in it can claim any address: trust only your \
                 proxies' networks"
            ),
        );
    }
    (networks.len() == texts.len()).then_some(networks)
}

fn tls_files(resolver: &mut Resolver<'_>, at: &KeyPath) -> Result<Option<TlsFiles>, Noted> {
    let Some(tls) = &resolver.written.settings.server.tls else {
        return Ok(None);
    };
    let remedy = "server.tls takes { cert = \"…\", key = \"…\" }, two PEM files";
    let cert = resolver.required(&at.child("cert"), tls.cert.as_ref(), remedy);
    let key = resolver.required(&at.child("key"), tls.key.as_ref(), remedy);
    let (cert, key) = cert.zip(key).ok_or(Noted)?;
    let cert = resolver.path(&at.child("cert"), cert);
    let key = resolver.private_path(&at.child("key"), key);
    match tls::certified(&cert, &key) {
        Ok(pair) => Ok(Some(TlsFiles {
            cert,
            key,
            expires_at: certificate::expires_at(&pair.cert),
            pair: Arc::new(pair),
        })),
        Err(error) => {
            resolver.wrong(
                at,
                error.to_string(),
                "name PEM files of a certificate chain and its key",
            );
            Err(Noted)
        }
    }
}
