//! The example of the documentation, key by key: users, orders that need a value of theirs, and a price for each order.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::TestBff;
use crate::support::json_api::{Canned, JsonApi};

const ALICE: &str = "8f2c1d7e-alice";

const EXAMPLE: &str = r#"
[frontend.shop.route.home]
path     = "/api/home"
token    = "user"
deadline = "2s"

[frontend.shop.route.home.part.me]
upstream = "users"
path     = "/users/{sub}"
pick     = { id = "/id", name = "/profile/displayName" }

[frontend.shop.route.home.part.orders]
upstream  = "orders"
path      = "/orders?customer={me:/id}&limit={query:limit}"
items     = "/data"
pick      = { id = "/id", sku = "/line/sku", total = "/amount/total" }
max_items = 50
optional  = true
timeout   = "800ms"
max_bytes = "256KiB"
exchange  = { audience = "https://orders.internal" }

[frontend.shop.route.home.part.prices]
upstream = "prices"
each     = "orders"
path     = "/prices/{item:/line/sku}"
parallel = 4
optional = true
inline   = false
"#;

struct Shop {
    bff: TestBff,
    users: JsonApi,
    orders: JsonApi,
    prices: JsonApi,
}

fn shop() -> Shop {
    let [users, orders, prices] = [(); 3].map(|()| JsonApi::start());
    // A busy machine takes its time.
    let example = EXAMPLE.replace("\"2s\"", "\"30s\"").replace("800ms", "20s");
    let bff = TestBff::with(|setup| {
        setup.tables = users.table("users", "")
            + &orders.table("orders", "")
            + &prices.table("prices", "")
            + &example;
    });
    users.at(
        &format!("/users/{ALICE}"),
        Canned::ok(r#"{"id": "c&1", "profile": {"displayName": "Alice", "age": 7}}"#),
    );
    let order = |id: u32, sku: &str| {
        format!(r#"{{"id": {id}, "line": {{"sku": "{sku}"}}, "amount": {{"total": 1.50}}}}"#)
    };
    let data = [order(1, "a/b"), order(2, "c d")].join(", ");
    orders.at(
        "/orders?customer=c%261&limit=5",
        Canned::ok(format!(r#"{{"data": [{data}], "next": null}}"#)),
    );
    prices.at("/prices/a%2Fb", Canned::ok(r#"{"net": 1.00}"#));
    prices.at("/prices/c%20d", Canned::ok(r#"{"net": 2.00}"#));
    Shop {
        bff,
        users,
        orders,
        prices,
    }
}

/// Whom the token is for that came with a request.
fn audience(api: &JsonApi) -> Value {
    let heads = api.heads();
    let line = heads[0].lines().find(|line| {
        line.to_ascii_lowercase()
            .starts_with("authorization: bearer ")
    });
    let token = line.unwrap().rsplit(' ').next().unwrap().to_owned();
    let payload = token.split('.').nth(1).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["aud"].clone()
}

#[test]
fn the_example_answers_as_it_says() {
    let shop = shop();
    let answer = shop.bff.signed_in().fetch("GET", "/api/home?limit=5");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (
            200,
            r#"{"me":{"id":"c&1","name":"Alice"},"orders":[{"id":1,"sku":"a/b","total":1.50},{"id":2,"sku":"c d","total":1.50}],"prices":[{"net": 1.00},{"net": 2.00}]}"#
        )
    );
    assert_eq!(answer.header("sealgate-partial"), None);
    assert_eq!(audience(&shop.orders), "https://orders.internal");
    assert_eq!(audience(&shop.users), "demo-api");
    assert_eq!(audience(&shop.prices), "demo-api");
}

#[test]
fn the_example_does_without_its_optional_parts() {
    let shop = shop();
    let mut browser = shop.bff.signed_in();
    shop.prices.at("/prices/c%20d", Canned::status(404, "{}"));
    let answer = browser.fetch("GET", "/api/home?limit=5");
    assert_eq!(answer.header("sealgate-partial"), Some("prices"));
    assert_eq!(
        (&answer.json()["prices"], &answer.json()["_errors"]),
        (
            &json!([{"net": 1.0}, null]),
            &json!({"prices": {"failed": [{"index": 1, "status": 404, "code": "upstream-status"}]}})
        )
    );
    shop.orders
        .at("/orders?customer=c%261&limit=5", Canned::status(500, "{}"));
    let answer = browser.fetch("GET", "/api/home?limit=5");
    assert_eq!(answer.header("sealgate-partial"), Some("orders, prices"));
    assert_eq!(
        answer.json(),
        json!({
            "me": {"id": "c&1", "name": "Alice"}, "orders": null, "prices": null,
            "_errors": {
                "orders": {"status": 500, "code": "upstream-status"},
                "prices": {"code": "dependency"},
            },
        })
    );
    let users = format!("/users/{ALICE}");
    shop.users.at(&users, Canned::status(404, "{}"));
    let answer = browser.fetch("GET", "/api/home?limit=5");
    assert_eq!(
        (answer.status, &*answer.problem(), &answer.json()["part"]),
        (404, "part-failed", &json!("me"))
    );
}
