//! Who is calling, behind proxies that are trusted.
//!
//! `server::pipeline` asks first of all. Rate limits, logs and the upstreams' `X-Forwarded-For` use the answer.
//!
//! # Invariants
//! - Without `trusted_proxies` the answer is the connection's own address, whatever the headers say.
//! - An address counts only if a trusted proxy wrote it. The list is read from its end, up to the first hop that is not
//!   trusted.
//!
//! # Spec
//! RFC 7239 (`Forwarded`); `X-Forwarded-For` has none.
//!
//! # Why `X-Forwarded-For` comes first
//! Nearly every proxy writes it and passes a client's `Forwarded` on untouched. Proxies that write `Forwarded` alone
//! must remove `X-Forwarded-For`, or a client could choose its address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::message::Request;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client that sent the request.
pub(super) fn of(request: &Request, trusted: &[IpNet]) -> IpAddr {
    // A Unix socket has no peer address. Then no proxy is trusted.
    let peer = request.peer_addr().map(|peer| peer.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    behind(peer, request.headers(), trusted)
}

/// Whether the request came in over a connection from a trusted proxy.
pub(super) fn is_of_proxy(request: &Request, trusted: &[IpNet]) -> bool {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer)))
}

/// The client of a request that came in over a connection from `peer`.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    // A socket for both families shows IPv4 peers as ::ffff:a.b.c.d; nets are written without.
    let peer = peer.to_canonical();
    let is_trusted = |addr: IpAddr| trusted.iter().any(|net| net.contains(&addr));
    if !is_trusted(peer) {
        return peer;
    }
    let hops = if headers.contains_key(&X_FORWARDED_FOR) {
        hops(headers.get_all(&X_FORWARDED_FOR).iter(), Some)
    } else {
        hops(headers.get_all(FORWARDED).iter(), forwarded_for)
    };
    let mut addr = peer;
    for hop in hops.into_iter().rev() {
        // Behind a hop without an address (`unknown`, `_hidden`) nothing is known. The one that wrote it is the best answer.
        let Some(next) = hop else { break };
        addr = next;
        if !is_trusted(addr) {
            break;
        }
    }
    addr
}

/// The elements of all lines in order, the nearest hop last.
fn hops<'h>(
    lines: impl Iterator<Item = &'h HeaderValue>,
    node: impl Fn(&'h str) -> Option<&'h str>,
) -> Vec<Option<IpAddr>> {
    // A line that is not text is an element without an address.
    lines
        .flat_map(|line| line.to_str().unwrap_or("unknown").split(','))
        .map(|element| node(element.trim()).and_then(address))
        .collect()
}

/// The `for` of one element: `for=192.0.2.60;proto=http`.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(node.trim().trim_matches('"'))
}

/// An address with or without port; IPv6 with or without brackets.
fn address(node: &str) -> Option<IpAddr> {
    let bare = node
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let addr = bare.unwrap_or(node).parse();
    let addr = addr.or_else(|_| node.parse().map(|with_port: SocketAddr| with_port.ip()));
    addr.ok().map(|addr: IpAddr| addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_lines(peer: &str, lines: &[(&'static str, &'static str)], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        behind(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_unless_the_peer_is_trusted() {
        // D16
        const SPOOF: [(&str, &str); 2] =
            [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(of_lines("10.0.0.1", &SPOOF, &[]), "10.0.0.1");
        assert_eq!(
            of_lines("10.0.0.1", &SPOOF, &["192.168.0.0/16"]),
            "10.0.0.1"
        );
        assert_eq!(of_lines("10.0.0.1", &SPOOF, &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(
            of_lines("::ffff:10.0.0.1", &SPOOF, &["10.0.0.0/8"]),
            "1.1.1.1"
        );
        assert_eq!(of_lines("::ffff:10.0.0.1", &[], &[]), "10.0.0.1");
    }

    #[test]
    fn the_list_is_read_from_its_end_over_trusted_hops() {
        // D16
        for (list, expect) in [
            ("9.9.9.9", "9.9.9.9"),
            ("1.1.1.1, 9.9.9.9", "9.9.9.9"),
            ("1.1.1.1,9.9.9.9 , 10.0.0.2", "9.9.9.9"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("1.1.1.1, garbage", "10.0.0.1"),
            ("", "10.0.0.1"),
            (",", "10.0.0.1"),
            ("9.9.9.9:4711", "9.9.9.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("::ffff:10.0.0.2", "10.0.0.2"),
        ] {
            let got = of_lines("10.0.0.1", &[("x-forwarded-for", list)], &["10.0.0.0/8"]);
            assert_eq!(got, expect, "{list}");
        }
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "9.9.9.9, 10.0.0.2"),
        ];
        assert_eq!(of_lines("10.0.0.1", &lines, &["10.0.0.0/8"]), "9.9.9.9");
    }

    #[test]
    fn forwarded_counts_where_there_is_no_x_forwarded_for() {
        for (list, expect) in [
            ("for=9.9.9.9", "9.9.9.9"),
            (
                "for=1.1.1.1;proto=https, For=\"9.9.9.9:80\";by=10.0.0.1",
                "9.9.9.9",
            ),
            ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("proto=https;for=9.9.9.9, for=10.0.0.2", "9.9.9.9"),
            ("for=1.1.1.1, for=_hidden", "10.0.0.1"),
            ("by=9.9.9.9", "10.0.0.1"),
        ] {
            let got = of_lines("10.0.0.1", &[("forwarded", list)], &["10.0.0.0/8"]);
            assert_eq!(got, expect, "{list}");
        }
        let both = [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "9.9.9.9")];
        assert_eq!(of_lines("10.0.0.1", &both, &["10.0.0.0/8"]), "9.9.9.9");
    }
}
