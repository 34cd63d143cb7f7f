//! Calls to the provider through a proxy: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.

use crate::support::http_proxy::HttpProxy;
use crate::support::process::{Process, eventually};
use crate::support::{Initiator, Site};

/// `us@er`, `can:ary-5e1f`
const CREDENTIALS: &str = "dXNAZXI6Y2FuOmFyeS01ZTFm";
const WRITTEN: &str = "us%40er:can%3aary-5e1f";

#[test]
fn calls_to_the_provider_go_through_the_proxy_of_their_scheme() {
    for name in ["HTTP_PROXY", "http_proxy"] {
        let proxy = HttpProxy::start(Some(CREDENTIALS));
        let site = Site::new();
        let server = site.serve_as(|command| {
            command.env(name, format!("http://{WRITTEN}@{}", proxy.addr));
        });
        let mut browser = site.signed_in(&server);
        assert_eq!(browser.fetch("POST", "/bff/logout").status, 200);
        let heads = proxy.heads();
        let issuer = site.idp.issuer();
        for call in [
            format!("GET {issuer}/.well-known/openid-configuration HTTP/1.1"),
            format!("GET {issuer}/jwks HTTP/1.1"),
            format!("POST {issuer}/token HTTP/1.1"),
            format!("POST {issuer}/revoke HTTP/1.1"),
        ] {
            assert!(heads.iter().any(|head| head.starts_with(&call)), "{call}");
        }
        let api = site.api.url();
        assert!(heads.iter().all(|head| !head.contains(&api)), "{heads:?}");
        let said = server.process.stderr.text();
        for secret in ["ary-5e1f", CREDENTIALS, "us%40er", "us@er"] {
            assert!(!said.contains(secret), "{secret}");
        }
    }
}

#[test]
fn what_no_proxy_names_is_called_directly() {
    for (no_proxy, is_direct) in [("127.0.0.0/8", true), ("*", true), ("id.test", false)] {
        let proxy = HttpProxy::start(None);
        let site = Site::new();
        let server = site.serve_as(|command| {
            command.env("HTTP_PROXY", format!("http://{}", proxy.addr));
            command.env("NO_PROXY", no_proxy);
        });
        drop(site.signed_in(&server));
        assert_eq!(proxy.heads().is_empty(), is_direct, "{no_proxy}");
    }
}

#[test]
fn an_https_provider_is_called_through_a_tunnel_and_its_name_is_the_proxys_to_resolve() {
    for (credentials, said) in [
        (Some(CREDENTIALS), "it made no tunnel (status 502)"),
        (Some("other"), "it wants another user or password (407)"),
    ] {
        let proxy = HttpProxy::start(credentials);
        let site = Site::with_issuer("https://id.invalid");
        let server = site.serve_as(|command| {
            command.env("HTTPS_PROXY", format!("http://{WRITTEN}@{}", proxy.addr));
        });
        let visit = site
            .browser(&server)
            .navigate("/bff/login", Initiator::SameOrigin);
        assert_eq!(visit.response.status, 503);
        let heads = proxy.heads();
        let head = heads.first().expect("it was asked");
        assert!(
            head.starts_with("CONNECT id.invalid:443 HTTP/1.1\r\n"),
            "{head}"
        );
        let log = eventually(said, || {
            Some(server.process.stderr.text()).filter(|log| log.contains(said))
        });
        for secret in ["ary-5e1f", CREDENTIALS] {
            assert!(!log.contains(secret), "{secret}");
        }
    }
}

#[test]
fn a_proxy_that_is_none_of_ours_is_never_passed_by() {
    for value in ["socks5://canary-user:canary-pw@127.0.0.1:1", "http://"] {
        for (name, site) in [
            ("HTTP_PROXY", Site::new()),
            ("https_proxy", Site::with_issuer("https://id.invalid")),
        ] {
            let mut command = site.sealgate(&[]);
            command.env(name, value);
            let outcome = Process::spawn(command).outcome();
            let what = format!("{name}: it is not the URL of an HTTP proxy");
            outcome.assert_refused(78, &[&what, "unset it"]);
            assert!(!outcome.stderr.contains("canary-"), "{}", outcome.stderr);
        }
    }
}

#[test]
fn a_proxy_that_no_issuer_would_be_called_through_does_not_matter() {
    for (name, no_proxy, issuer) in [
        ("HTTP_PROXY", "", Some("https://id.invalid")),
        ("HTTPS_PROXY", "", None),
        ("HTTP_PROXY", "127.0.0.1", None),
        ("HTTPS_PROXY", ".invalid", Some("https://id.invalid")),
    ] {
        let site = issuer.map_or_else(Site::new, Site::with_issuer);
        let server = site.serve_as(|command| {
            command.env(name, "socks5://canary-user:canary-pw@127.0.0.1:1");
            command.env("NO_PROXY", no_proxy);
        });
        let said = server.process.stderr.text();
        assert!(!said.contains("canary-"), "{said}");
        if issuer.is_none() {
            drop(site.signed_in(&server));
        }
    }
}
