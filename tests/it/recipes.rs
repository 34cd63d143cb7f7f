//! The recipes for identity providers load, and say what was tried.

use std::path::Path;

use crate::support::process::Place;

const PROVIDERS: [&str; 15] = [
    "Keycloak",
    "Microsoft Entra ID",
    "Auth0",
    "Okta",
    "Amazon Cognito",
    "Google",
    "ZITADEL",
    "authentik",
    "Authelia",
    "Ory Hydra",
    "Duende IdentityServer",
    "GitLab",
    "Spring Authorization Server",
    "django-oauth-toolkit",
    "Canaille",
];

/// What each recipe speaks of, in this order.
const SUBJECTS: [&str; 6] = [
    "Register", "Refresh", "Audience", "Logout", "Claims", "Tried",
];

const BASE: &str = r#"
[upstream.orders]
url = "https://orders.internal"
[frontend.shop]
origin = "https://shop.example.com"
[frontend.shop.oidc]
issuer = "https://id.example.com"
client_id = "shop"
client_secret = { file = "shop.secret" }
[frontend.shop.route.orders]
path = "/api/orders"
upstream = "orders"
"#;

/// The sections, each with its heading.
fn sections() -> Vec<(String, String)> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oidc/recipes.md");
    let text = std::fs::read_to_string(document).expect("the recipes");
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|section| {
            let (heading, rest) = section.split_once('\n').expect("a heading");
            (heading.to_owned(), rest.to_owned())
        })
        .collect()
}

#[test]
fn every_provider_has_a_recipe_that_speaks_of_the_same_subjects() {
    let sections = sections();
    let headings: Vec<_> = sections
        .iter()
        .map(|(heading, _)| heading.as_str())
        .collect();
    assert_eq!(headings, PROVIDERS);
    for (heading, text) in &sections {
        let subjects: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("- **")?.split_once("**: "))
            .map(|(subject, said)| {
                assert!(said.len() > 5, "{heading}: {subject}");
                subject
            })
            .collect();
        assert_eq!(subjects, SUBJECTS, "{heading}");
    }
}

#[test]
fn every_recipe_is_a_configuration_that_passes_the_check() {
    for (heading, text) in sections() {
        let mut blocks = text.split("```toml\n").skip(1);
        let recipe = blocks
            .next()
            .expect(&heading)
            .split("\n```")
            .next()
            .unwrap();
        assert!(blocks.next().is_none(), "{heading}: one block");
        assert!(recipe.contains("issuer"), "{heading}");
        let place = Place::new();
        place.write("whole.toml", BASE);
        place.write("recipe.toml", recipe);
        place.write("shop.secret", "a secret\n");
        place.rotate(&[]);
        let outcome = place.run(&["--check", "-c", "whole.toml", "-c", "recipe.toml"]);
        assert_eq!(outcome.code, Some(0), "{heading}\n{}", outcome.stderr);
    }
}
