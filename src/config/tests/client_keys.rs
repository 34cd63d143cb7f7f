//! `client_key`: which files of keys are taken, and what is said of the others.

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};

use super::*;

const RSA: &str = include_str!("../../../tests/client-keys/rsa-2048.pem");
const P256: &str = include_str!("../../../tests/client-keys/p-256.pem");
const ED25519: &str = include_str!("../../../tests/client-keys/ed25519.pem");

/// What is said of [`SHOP`] with this change and without a client secret. `{key}` is the path of a file with this text.
fn said(change: &str, key: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.pem");
    fs::write(&path, key).unwrap();
    let shop = SHOP.replace("client_secret = { env = \"SHOP_CLIENT_SECRET\" }\n", "");
    let change = change.replace("{key}", &path.display().to_string());
    let errors = resolved(&[&shop, &change], &[("CLIENT_KEY", key)]).err();
    let said = errors.map(|errors| errors.iter().map(ToString::to_string).collect());
    said.unwrap_or_default()
}

#[test]
fn a_file_of_keys_is_taken_or_the_mistake_names_cause_and_remedy() {
    let certificate = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let (two, with_certificate) = (
        format!("{P256}{ED25519}"),
        format!("{P256}{}", certificate.cert.pem()),
    );
    let damaged = P256.replace("MIG", "MIH");
    for (key, cause, remedy) in [
        (RSA, "", ""),
        (P256, "", ""),
        (ED25519, "", ""),
        (&two, "", ""),
        (&with_certificate, "", ""),
        (&certificate.cert.pem(), "holds a certificate", "genpkey"),
        (&p384.serialize_pem(), "key 1 is neither RSA", "P-256"),
        (
            &format!("{RSA}{}", p384.serialize_pem()),
            "key 2 is neither RSA",
            "P-256",
        ),
        (
            include_str!("../../../tests/client-keys/rsa-1024.pem"),
            "fewer than 2048 bits",
            "genpkey",
        ),
        (
            include_str!("../../../tests/client-keys/rsa-2048.pkcs1.pem"),
            "PKCS#1",
            "openssl pkcs8",
        ),
        (
            include_str!("../../../tests/client-keys/encrypted.pem"),
            "an encrypted key",
            "-nocrypt",
        ),
        (
            &format!("{P256}{P256}"),
            "key 2 stands in it twice",
            "remove",
        ),
        (&damaged, "key 1 is damaged", "genpkey"),
        ("-----BEGIN PRIVATE KEY-----\n", "not in PEM", "genpkey"),
        ("no key\n", "no private key", "genpkey"),
        ("\n", "is empty", "put the secret"),
    ] {
        for (place, reference) in [("file", "{key}"), ("env", "CLIENT_KEY")] {
            let change = format!(
                "[frontend.shop.oidc]\nclient_auth = \"private_key_jwt\"\nclient_key = {{ {place} = \"{reference}\" }}"
            );
            let said = said(&change, key);
            if cause.is_empty() {
                assert_eq!(said, Vec::<String>::new(), "{key}");
                continue;
            }
            assert_eq!(said.len(), 1, "{key}: {said:?}");
            let begin = format!("frontend.shop.oidc.client_key.{place} (");
            assert!(said[0].starts_with(&begin), "{said:?}");
            assert!(
                said[0].contains(cause) && said[0].contains(remedy),
                "{said:?}"
            );
            for line in key.lines().filter(|line| !line.is_empty()) {
                assert!(!said[0].contains(line), "the key is shown: {said:?}");
            }
        }
    }
}

#[test]
fn a_client_has_a_key_or_a_secret_as_it_authenticates() {
    let by_key = "client_auth = \"private_key_jwt\"";
    let key = "client_key = { file = \"{key}\" }";
    let secret = "client_secret = { env = \"SHOP_CLIENT_SECRET\" }";
    for (lines, path, word) in [
        (vec![by_key, key], "", ""),
        (vec![secret, key], "", ""),
        (vec![by_key], "client_key.file", "required"),
        (vec![by_key, key, secret], "client_secret", "uses no secret"),
        (vec![key], "client_secret.file", "required"),
        (
            vec!["client_auth = \"private_key\"", key],
            "client_auth",
            "private_key_jwt",
        ),
        (
            vec![by_key, "client_key = { file = \"no-such-file\" }"],
            "client_key.file",
            "no-such-file",
        ),
    ] {
        let change = format!("[frontend.shop.oidc]\n{}", lines.join("\n"));
        let said = said(&change, P256);
        if path.is_empty() {
            assert_eq!(said, Vec::<String>::new(), "{change}");
            continue;
        }
        assert_eq!(said.len(), 1, "{change}: {said:?}");
        assert!(
            said[0].starts_with(&format!("frontend.shop.oidc.{path} (")),
            "{said:?}"
        );
        assert!(said[0].contains(word), "{said:?}");
    }
}

#[test]
fn a_key_is_shown_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.pem");
    fs::write(&path, RSA).unwrap();
    let change = format!("frontend.shop.oidc.client_key = {{ file = {path:?} }}");
    let (written, _dir) = layered(&[SHOP, &change], &[]);
    let written = written.unwrap();
    let config = resolve(&written).unwrap_or_else(|errors| panic!("{errors}"));
    let shown = format!("{}{:?}", written.print().unwrap(), client(&config));
    assert!(shown.contains("Ps256"), "{shown}");
    for line in RSA.lines() {
        assert!(!shown.contains(line), "{shown}");
    }
}
