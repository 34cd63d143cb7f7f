//! Routes with parts: what cannot be asked, awaited or filled is a mistake.

use super::*;

/// A route `home` instead of `orders`, with these parts.
fn parts(parts: &str) -> Vec<String> {
    let shop = SHOP.split("[frontend.shop.route").next().unwrap();
    let text = format!("{shop}[frontend.shop.route.home]\npath = \"/api/home\"\n{parts}");
    let text = text.replace("[part.", "[frontend.shop.route.home.part.");
    let errors = resolved(&[&text], &[]).err();
    errors
        .map(|errors| errors.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

#[test]
fn a_route_that_composes_is_good() {
    let said = parts(
        "deadline = \"2s\"\ncookies = [\"theme\"]\n\
         [part.me]\nupstream = \"orders\"\npath = \"/users/{sub}\"\npick = { id = \"/id\" }\n\
         [part.orders]\nupstream = \"orders\"\npath = \"/orders?c={me:/id}&l={query:limit}\"\nitems = \"/data\"\nmax_items = 5\n\
         [part.prices]\nupstream = \"orders\"\neach = \"orders\"\npath = \"/prices/{item:/sku}\"\nparallel = 16\noptional = true\ntoken = \"client\"\n",
    );
    assert_eq!(said, Vec::<String>::new());
}

const PART: &str = "frontend.shop.route.home.part";

fn assert_one_mistake_each(changes: &[(String, String, &str)]) {
    for (text, path, word) in changes {
        let said = parts(text);
        assert_eq!(said.len(), 1, "{text}: {said:#?}");
        assert!(
            said[0].starts_with(&format!("{path} (")),
            "{text}: {said:?}"
        );
        assert!(said[0].contains(word), "{text}: {said:?}");
    }
}

#[test]
fn each_mistake_is_named_at_its_key() {
    let a = "[part.a]\nupstream = \"orders\"\npath = \"/a\"\n";
    assert_one_mistake_each(&[
        (
            "[part.a]\npath = \"/a\"\n".to_owned(),
            format!("{PART}.a.upstream"),
            "required",
        ),
        (
            "[part.a]\nupstream = \"orders\"\n".to_owned(),
            format!("{PART}.a.path"),
            "required",
        ),
        (
            "[part.a]\nupstream = \"order\"\npath = \"/a\"\n".to_owned(),
            format!("{PART}.a.upstream"),
            "did you mean",
        ),
        (
            format!("upstream = \"orders\"\n{a}"),
            "frontend.shop.route.home.upstream".to_owned(),
            "parts",
        ),
        (
            format!("websocket = true\n{a}"),
            "frontend.shop.route.home.websocket".to_owned(),
            "WebSocket",
        ),
        (
            format!("timeout = \"1s\"\n{a}"),
            "frontend.shop.route.home.timeout".to_owned(),
            "deadline",
        ),
        (
            format!("methods = [\"GET\"]\n{a}"),
            "frontend.shop.route.home.methods".to_owned(),
            "forwards none",
        ),
        (
            format!("deadline = \"0s\"\n{a}"),
            "frontend.shop.route.home.deadline".to_owned(),
            "out of bounds",
        ),
        (
            "upstream = \"orders\"\ndeadline = \"1s\"\n".to_owned(),
            "frontend.shop.route.home.deadline".to_owned(),
            "has none",
        ),
        (
            a.replace("part.a", "part.query"),
            format!("{PART}.query"),
            "another meaning",
        ),
        (
            a.replace("part.a", "part._errors"),
            format!("{PART}._errors"),
            "letters",
        ),
        (
            a.replace("\"/a\"", "\"a\""),
            format!("{PART}.a.path"),
            "plainest form",
        ),
        (
            a.replace("\"/a\"", "\"/../a\""),
            format!("{PART}.a.path"),
            "plainest form",
        ),
        (
            a.replace("\"/a\"", "\"/{a\""),
            format!("{PART}.a.path"),
            "braces",
        ),
        (
            a.replace("\"/a\"", "\"/{role}\""),
            format!("{PART}.a.path"),
            "session.claims",
        ),
        (
            a.replace("\"/a\"", "\"/{path:id}\""),
            format!("{PART}.a.path"),
            "no segment",
        ),
        (
            a.replace("\"/a\"", "\"/{b:/id}\""),
            format!("{PART}.a.path"),
            "no part",
        ),
        (
            a.replace("\"/a\"", "\"/{item:/id}\""),
            format!("{PART}.a.path"),
            "no each",
        ),
        (
            a.replace("\"/a\"", "\"/{a:/id}\""),
            PART.to_owned(),
            "wait for one another: a",
        ),
    ]);
}

#[test]
fn each_mistake_about_values_is_named_too() {
    let a = "[part.a]\nupstream = \"orders\"\npath = \"/a\"\n";
    assert_one_mistake_each(&[
        (
            format!("{a}pick = {{ x = \"id\" }}\n"),
            format!("{PART}.a.pick.x"),
            "JSON pointer",
        ),
        (
            format!("{a}items = \"data\"\n"),
            format!("{PART}.a.items"),
            "JSON pointer",
        ),
        (
            format!("{a}max_items = 3\n"),
            format!("{PART}.a.max_items"),
            "not set",
        ),
        (
            format!("{a}parallel = 3\n"),
            format!("{PART}.a.parallel"),
            "one call",
        ),
        (
            format!("{a}each = \"a\"\nitems = \"\"\n"),
            format!("{PART}.a.each"),
            "itself",
        ),
        (
            format!("{a}each = \"b\"\n"),
            format!("{PART}.a.each"),
            "no part",
        ),
        (
            format!("{a}[part.b]\nupstream = \"orders\"\npath = \"/b\"\neach = \"a\"\n"),
            format!("{PART}.b.each"),
            "no items",
        ),
        (
            format!(
                "{a}items = \"\"\n[part.b]\nupstream = \"orders\"\npath = \"/b\"\neach = \"a\"\nparallel = 17\n"
            ),
            format!("{PART}.b.parallel"),
            "1 to 16",
        ),
        (
            format!("{a}max_bytes = \"0\"\n"),
            format!("{PART}.a.max_bytes"),
            "out of bounds",
        ),
        (
            format!("{a}token = \"me\"\n"),
            format!("{PART}.a.token"),
            "not supported",
        ),
        (
            format!("{a}inline = true\n[part.b]\nupstream = \"orders\"\npath = \"/b\"\n"),
            PART.to_owned(),
            "whole answer",
        ),
    ]);
}

#[test]
fn a_circle_names_the_parts_in_it() {
    let said = parts(
        "[part.a]\nupstream = \"orders\"\npath = \"/{b:/id}\"\n\
         [part.b]\nupstream = \"orders\"\npath = \"/{c:/id}\"\n\
         [part.c]\nupstream = \"orders\"\npath = \"/c?x={a:/id}\"\n\
         [part.d]\nupstream = \"orders\"\npath = \"/d\"\n",
    );
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("a, b, c"), "{said:?}");
}

#[test]
fn an_exchange_says_what_it_is_for_and_has_a_token_to_exchange() {
    one_mistake_each(&[
        (
            "frontend.shop.route.orders.exchange = { audience = \"a\", scopes = [\"b\"] }",
            "",
            "",
        ),
        (
            "frontend.shop.route.orders.exchange = { grant = \"on-behalf-of\", scopes = [\"api://o/.default\"] }",
            "",
            "",
        ),
        ("frontend.shop.route.orders.audience = \"a\"", "", ""),
        (
            "frontend.shop.route.orders = { audience = \"a\", exchange = { scopes = [\"b\"] } }",
            "frontend.shop.route.orders.audience",
            "short for exchange",
        ),
        (
            "frontend.shop.route.orders = { token = \"none\", audience = \"a\" }",
            "frontend.shop.route.orders.audience",
            "only a user's token",
        ),
        (
            "frontend.shop.route.orders.exchange = {}",
            "frontend.shop.route.orders.exchange",
            "which token",
        ),
        (
            "frontend.shop.route.orders = { token = \"none\", exchange = { audience = \"a\" } }",
            "frontend.shop.route.orders.exchange",
            "only a user's token",
        ),
        (
            "frontend.shop.route.orders = { token = \"client\", exchange = { audience = \"a\" } }",
            "frontend.shop.route.orders.exchange",
            "only a user's token",
        ),
        (
            "frontend.shop.route.orders.exchange = { grant = \"on-behalf-of\", audience = \"a\", scopes = [\"b\"] }",
            "frontend.shop.route.orders.exchange",
            "name the API",
        ),
        (
            "frontend.shop.route.orders.exchange = { grant = \"obo\", scopes = [\"b\"] }",
            "frontend.shop.route.orders.exchange.grant",
            "not supported",
        ),
        (
            "frontend.shop.route.orders.exchange = { scopes = [\"a b\"] }",
            "frontend.shop.route.orders.exchange.scopes",
            "string of its own",
        ),
        (
            "frontend.shop.route.orders.exchange = { resource = \"orders\" }",
            "frontend.shop.route.orders.exchange.resource",
            "absolute URI",
        ),
    ]);
}
