//! Pages of an upstream, and what excludes them.

use super::*;

#[test]
fn what_pages_exclude() {
    one_mistake_each(&[
        (
            "frontend.shop.route.orders = { documents = true, login = \"redirect\" }",
            "",
            "",
        ),
        (
            "frontend.shop.route.orders.path = \"/\"\nfrontend.shop.assets = { dir = \"/usr\" }",
            "frontend.shop.route.orders.path",
            "no file of assets would be served",
        ),
        (
            "frontend.shop.route.orders.login = \"redirect\"",
            "frontend.shop.route.orders.login",
            "only a page begins a login",
        ),
        (
            "frontend.shop.route.orders.login = \"page\"",
            "frontend.shop.route.orders.login",
            "\"problem\"",
        ),
        (
            "frontend.shop.route.orders = { path = \"/\", documents = true, login = \"redirect\" }\nfrontend.shop.error_page = \"/oops\"",
            "frontend.shop.error_page",
            "begin again without end",
        ),
    ]);
}

#[test]
fn who_reaches_a_frontend() {
    one_mistake_each(&[
        (
            "frontend.shop.hosts = [\"shop.internal:8080\", \"[::1]\"]",
            "",
            "",
        ),
        ("frontend.shop.hsts = \"\"", "", ""),
        ("frontend.shop.hsts = \"max-age=600; preload\"", "", ""),
        ("frontend.shop.logins_from = [\"*\"]", "", ""),
        (
            "frontend.shop.hosts = [\"https://shop.internal\"]",
            "frontend.shop.hosts",
            "is not a host",
        ),
        (
            "frontend.shop.hsts = \"yes\"",
            "frontend.shop.hsts",
            "Strict-Transport-Security",
        ),
        (
            "frontend.shop.logins_from = [\"www.example.com\"]",
            "frontend.shop.logins_from",
            "https://host",
        ),
        (
            "frontend.shop.hosts = [\"other.example.com\"]\nfrontend.other = { origin = \"https://other.example.com\", oidc = { issuer = \"https://id.example.com\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "frontend.shop.hosts",
            "leads to frontend other already",
        ),
        (
            "frontend.shop.hosts = [\"x.internal\"]\nfrontend.other = { origin = \"https://other.example.com\", hosts = [\"X.internal:443\"], oidc = { issuer = \"https://id.example.com\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "frontend.shop.hosts",
            "leads to frontend other already",
        ),
        (
            "frontend.shop.hosts = [\"x.internal:443\"]\nfrontend.other = { origin = \"https://other.example.com\", hosts = [\"x.internal\"], oidc = { issuer = \"https://id.example.com\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "frontend.shop.hosts",
            "leads to frontend other already",
        ),
        (
            "frontend.shop.hosts = [\"other.example.com:443\"]\nfrontend.other = { origin = \"https://other.example.com\", hosts = [\"y\"], oidc = { issuer = \"https://id.example.com\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "frontend.shop.hosts",
            "leads to frontend other already",
        ),
        (
            "frontend.shop.hosts = [\"x.internal\"]\nfrontend.other = { origin = \"https://other.example.com\", hosts = [\"x.internal:80\"], oidc = { issuer = \"https://id.example.com\", client_id = \"x\", client_secret = { env = \"SHOP_CLIENT_SECRET\" } } }",
            "",
            "",
        ),
    ]);
}
