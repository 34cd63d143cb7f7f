//! What the documents say about the program is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::TestBff;
use crate::support::process::Place;

const README: &str = "README.md";
const CONFIG: &str = "src/config/README.md";
const ENDPOINT: &str = "src/endpoint/README.md";
const TELEMETRY: &str = "src/telemetry/README.md";

/// The manual: the documents for those who use the program. The first has a whole configuration.
const MANUAL: [&str; 17] = [
    README,
    CONFIG,
    ENDPOINT,
    TELEMETRY,
    "keys/README.md",
    "src/api/README.md",
    "src/coordination/README.md",
    "src/login/DEVELOPMENT.md",
    "src/login/README.md",
    "src/oidc/README.md",
    "src/oidc/recipes.md",
    "src/proxy/README.md",
    "src/server/README.md",
    "src/server/deploy/CAPACITY.md",
    "src/server/deploy/README.md",
    "src/server/deploy/UPGRADING.md",
    "src/session/README.md",
];

/// Every flag there is.
const FLAGS: [&str; 16] = [
    "--config",
    "--demo",
    "--rotate-keys",
    "--check",
    "--online",
    "--print-config",
    "--example-config",
    "--health",
    "--keys",
    "--alg",
    "--activate-in",
    "--now",
    "--retire-after",
    "--drop",
    "--force",
    "--help",
];

/// Read when the test runs: a change of a document compiles nothing.
fn read(document: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(document)).expect(document)
}

fn manual() -> impl Iterator<Item = String> {
    MANUAL.into_iter().map(read)
}

/// The code blocks of a language in the manual.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks_of = |text: String| -> Vec<String> {
        let blocks = text.split(&*fence).skip(1);
        blocks
            .map(|rest| rest.split("\n```").next().unwrap().to_owned())
            .collect()
    };
    manual().flat_map(blocks_of).collect()
}

/// The cells of the table below a heading of a document.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let document = read(document);
    let (_, section) = document
        .split_once(&format!("\n## {heading}\n"))
        .expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let cells = |row: &str| -> Vec<String> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(cells).collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn the_front_page_is_short_and_begins_with_the_demo() {
    let readme = read(README);
    assert!(readme.len() <= 10_000, "{} bytes", readme.len());
    let mut first_screen = readme.lines().take(30);
    assert!(first_screen.any(|line| line == "cargo run --release -- --demo"));
    // N12: what that needs and how long it takes, and how the program comes to be on the PATH.
    let rust = concat!("Rust ", env!("CARGO_PKG_RUST_VERSION"));
    for said in [rust, "C compiler", "minutes on two cores"] {
        let mut first_screen = readme.lines().take(30);
        assert!(first_screen.any(|line| line.contains(said)), "{said}");
    }
    let own = readme.find("cargo install --path . --locked").unwrap();
    assert!(readme.find("\nsealgate -").is_some_and(|used| own < used));
}

#[test]
fn every_configuration_in_it_loads() {
    // A key file is no configuration.
    let examples: Vec<String> = blocks("toml")
        .into_iter()
        .filter(|example| !example.contains("secret = \"…"))
        .collect();
    assert!(examples.len() > 1, "{examples:?}");
    for example in &examples {
        let place = Place::new();
        let whole = examples[0].lines();
        // A route for every path leaves nothing for the app's files.
        let is_whole = example.contains("= \"/\"\n");
        let whole = whole.filter(|line| !is_whole || !line.starts_with("assets"));
        place.write("whole.toml", &whole.collect::<Vec<_>>().join("\n"));
        place.write("sealgate.toml", example);
        place.write("shop.secret", "a secret\n");
        place.write("store.url", "rediss://:password@store:6379\n");
        place.write("dist/index.html", "<!doctype html>");
        place.rotate(&[]);
        // A section by itself is to be put on top of a whole one.
        let layers = ["--check", "-c", "whole.toml", "-c", "sealgate.toml"];
        let outcome = place.run(&layers);
        assert_eq!(outcome.code, Some(0), "{}\n{example}", outcome.stderr);
    }
}

#[test]
fn every_mode_is_told_of() {
    let help = Place::new().run(&["--help"]).stdout;
    for flag in FLAGS {
        assert!(help.contains(flag), "{help}");
    }
    let modes = blocks("text").join("\n");
    for flag in &FLAGS[1..8] {
        assert!(modes.contains(flag), "{flag} is a mode that is not told of");
    }
}

#[test]
fn every_rotation_in_it_knows_how_long_sessions_last() {
    // Else keys are retired after a day, and with them longer sessions.
    let deployment = [
        "kubernetes/kustomization.yaml",
        "helm/values.yaml",
        "sealgate.service",
    ];
    let deployment = deployment.map(|file| read(&format!("src/server/deploy/{file}")));
    let text: String = manual().chain(deployment).collect();
    // Neither prose nor the table of modes.
    let commands = text
        .lines()
        .filter(|line| !line.contains('`') && !line.contains("keys       add"));
    let mut rotations = 0;
    for line in commands.filter(|line| line.contains("sealgate") && line.contains(" --rotate-keys"))
    {
        let is_first = line.contains(" once: ");
        assert!(line.contains("sealgate -c ") || is_first, "{line}");
        rotations += 1;
    }
    assert!(rotations > 6, "{rotations} rotations");
}

#[test]
fn every_default_in_it_is_the_default() {
    let place = Place::new();
    let minimal = r#"
[upstream.orders]
url = "http://127.0.0.1:3000"
[frontend.shop]
origin = "https://shop.example.com"
[frontend.shop.oidc]
issuer = "https://id.example.com"
client_id = "shop"
client_secret = { env = "S" }
[frontend.shop.route.orders]
path = "/api"
upstream = "orders"
[frontend.shop.claim.roles]
[frontend.shop.native]
redirect_uris = ["com.example.shop:/cb"]
[frontend.shop.route.home]
path = "/api/home"
[frontend.shop.route.home.part.me]
upstream = "orders"
path = "/me"
[coordination]
url = { env = "S" }
"#;
    place.write("sealgate.toml", minimal);
    let printed = place.run(&["--print-config", "-c", "sealgate.toml"]).stdout;
    let mut compared = 0;
    for row in table(CONFIG, "Keys") {
        let [key, _, default, _] = &row[..] else {
            panic!("{row:?}");
        };
        let key = code(key).replace("….part", "….route.home.part.me");
        let key = key.replace("….claim.<name>", "….claim.roles");
        let key = key.replace("….route.<name>", "….route.orders");
        let key = key
            .replace("….", "frontend.shop.")
            .replace("frontend.<name>", "frontend.shop");
        let key = key.replace("upstream.<name>", "upstream.orders");
        if !default.starts_with('`') || default == "`{}`" {
            continue;
        }
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")));
        let line = line.unwrap_or_else(|| panic!("no {key} in\n{printed}"));
        let (line, origin) = line.split_once("  # ").unwrap();
        let value = line
            .trim_end()
            .split_once(" = ")
            .unwrap()
            .1
            .trim_matches('"');
        assert_eq!((value, origin), (code(default), "default"), "{key}");
        compared += 1;
    }
    assert!(compared > 25, "{compared} defaults");
}

/// `/metrics` with every family that there can be.
pub fn every_metric() -> String {
    // With coordination there are more of them; nobody needs to answer at the store.
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store.url");
    std::fs::write(&store, "redis://127.0.0.1:1").unwrap();
    let store = store.display();
    let section = format!(
        "[coordination]\nurl = {{ file = \"{store}\" }}\n\
         [frontend.shop.route.home]\npath = \"/api/home\"\n\
         [frontend.shop.route.home.part.me]\nupstream = \"api\"\npath = \"/me\"\n"
    );
    // With TLS there is one more.
    let pair = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let bff = TestBff::with(|setup| {
        setup.tables = section;
        setup.server = "tls = { cert = \"tls.crt\", key = \"tls.key\" }".to_owned();
        setup.files = vec![
            ("tls.crt", pair.cert.pem()),
            ("tls.key", pair.signing_key.serialize_pem()),
        ];
    });
    let mut browser = bff.browser();
    browser.speak_tls(crate::tls::client_trusting(pair.cert.der()));
    bff.log_in(&mut browser, "/bff/login");
    browser.fetch("GET", "/api/echo/x");
    browser.fetch("GET", "/api/home");
    let answer = crate::support::Request::new("GET", "/metrics")
        .header("host", "localhost")
        .send(bff.admin);
    answer.text()
}

#[test]
fn every_metric_in_it_exists_and_no_other() {
    let text = every_metric();
    let exported: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let rows = table(TELEMETRY, "Metrics");
    let told: BTreeSet<&str> = rows.iter().map(|row| code(&row[0])).collect();
    assert_eq!(told, exported);
    for row in &rows {
        let (name, labels) = (code(&row[0]), &row[1]);
        let sample = text.lines().find(|line| line.starts_with(name));
        let sample = sample.unwrap_or_else(|| panic!("no sample of {name} in\n{text}"));
        for label in labels.split(", ").filter(|label| !label.is_empty()) {
            assert!(sample.contains(&format!("{}=\"", code(label))), "{sample}");
        }
    }
}

#[test]
fn every_problem_code_in_it_exists_and_no_other() {
    // The one table of the source; its rows are ("code", status, "title").
    let source = include_str!("../../src/problem.rs");
    let (_, row) = source.split_once("const fn row(").unwrap();
    let row: String = row
        .split("\n    }\n")
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let mut known = BTreeSet::new();
    for part in row.split("(\"").skip(1) {
        let (code, rest) = part.split_once("\",").unwrap();
        let status = rest.split(',').next().unwrap();
        known.insert((code.to_owned(), status.parse::<u16>().unwrap()));
    }
    let mut told = BTreeSet::new();
    for row in table(ENDPOINT, "Problem codes") {
        let statuses = row[1].split(|c: char| !c.is_ascii_digit());
        for status in statuses.filter_map(|text| text.parse().ok()) {
            told.insert((code(&row[0]).to_owned(), status));
        }
    }
    assert!(known.len() > 12);
    assert_eq!(told, known);
}
