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
