//! Limits by client address. They count before a cookie is opened, a body is read, or another server is called.
//!
//! [`admit`](super::admit) ends with this, so that a forged request of another site does not use up the victim's limit.
//!
//! # Invariants
//! - An IPv6 client counts as its /64, since whoever has one address there has them all (RFC 6177).

use std::net::{IpAddr, Ipv6Addr};

use crate::frontend::{CountedBy, Frontend, Limit, Spender, Target};
use crate::problem::Problem;

/// Counts the request against the limit of its target, if that counts by address. `token::permit` counts by session.
pub(super) fn spend(
    frontend: &Frontend,
    target: Target<'_, '_>,
    client: IpAddr,
) -> Result<(), Problem> {
    let limit = match target {
        Target::Assets(..) => None,
        Target::Endpoint(endpoint) => match endpoint.rules().limit {
            Limit::Logins => frontend.login_rate_limit.as_ref(),
            Limit::Unlimited => None,
        },
        Target::Route(matched) => matched
            .route
            .rate_limit
            .as_ref()
            .filter(|limit| limit.by == CountedBy::Address),
    };
    limit.map_or(Ok(()), |limit| limit.spend(spender(client)))
}

/// Counts a login that a page begins, as the login endpoint counts its own.
pub fn spend_login(frontend: &Frontend, client: IpAddr) -> Result<(), Problem> {
    let limit = frontend.login_rate_limit.as_ref();
    limit.map_or(Ok(()), |limit| limit.spend(spender(client)))
}

/// The address as it is counted.
pub fn spender(client: IpAddr) -> Spender {
    Spender::Address(match client.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_client_and_a_mapped_address_is_ipv4() {
        for (one, other, are_one) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
        ] {
            let of = |text: &str| spender(text.parse().unwrap());
            assert_eq!(of(one) == of(other), are_one, "{one} {other}");
        }
    }
}
