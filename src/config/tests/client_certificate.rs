//! `client_cert`: which files are taken, and what is said of the others.

use super::*;

/// What is said of [`SHOP`] with these lines for its client, and with files of a certificate, its key, both, and another key.
fn said(lines: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let certified = || rcgen::generate_simple_self_signed(["shop".to_owned()]).unwrap();
    let (client, other) = (certified(), certified());
    let (cert, key) = (client.cert.pem(), client.signing_key.serialize_pem());
    for (name, text) in [
        ("client.crt", cert.clone()),
        ("client.key", key.clone()),
        ("client.pem", format!("{cert}{key}")),
        ("other.key", other.signing_key.serialize_pem()),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let shop = SHOP.replace("client_secret = { env = \"SHOP_CLIENT_SECRET\" }\n", "");
    let lines = lines.replace("{dir}", &dir.path().display().to_string());
    let change = format!("[frontend.shop.oidc]\n{lines}");
    let variables = [("SHOP_CLIENT_SECRET", "s3cret")];
    let errors = resolved(&[&shop, &change], &variables).err();
    let said = errors.map(|errors| errors.iter().map(ToString::to_string).collect());
    said.unwrap_or_default()
}

#[test]
fn a_certificate_and_its_key_are_in_two_files_or_in_one() {
    let tls = "client_auth = \"tls_client_auth\"\n";
    for (lines, says) in [
        (
            r#"client_cert = { cert = "{dir}/client.crt", key = "{dir}/client.key" }"#,
            "",
        ),
        (r#"client_cert = { file = "{dir}/client.pem" }"#, ""),
        (
            "client_cert = { file = \"{dir}/client.crt\" }\nclient_key = { file = \"{dir}/client.key\" }",
            "",
        ),
        ("", "client_cert"),
        (
            r#"client_cert = { file = "{dir}/client.crt" }"#,
            "holds no private key",
        ),
        (
            r#"client_cert = { cert = "{dir}/client.crt" }"#,
            "where certificate and key are",
        ),
        (
            r#"client_cert = { cert = "{dir}/client.crt", key = "{dir}/other.key" }"#,
            "not a usable pair",
        ),
        (
            "client_cert = { file = \"{dir}/client.pem\" }\nclient_secret = { env = \"SHOP_CLIENT_SECRET\" }",
            "uses no secret",
        ),
    ] {
        let said = said(&format!("{tls}{lines}"));
        assert_eq!(said.is_empty(), says.is_empty(), "{lines}: {said:?}");
        assert!(
            said.iter().all(|one| one.contains(says)),
            "{lines}: {said:?}"
        );
    }
    let beside = "client_secret = { env = \"SHOP_CLIENT_SECRET\" }\nclient_cert = { file = \"{dir}/client.pem\" }";
    assert_eq!(
        said(beside),
        Vec::<String>::new(),
        "tokens may be bound to it"
    );
}
