//! Sessions bound to a device, and routes that ask for a fresh proof.

use super::*;

#[test]
fn a_proof_is_asked_for_only_where_there_can_be_one() {
    one_mistake_each(&[
        (
            "frontend.shop.session.device_binding = \"required\"\nfrontend.shop.route.orders.require_fresh_device = true",
            "",
            "",
        ),
        (
            "frontend.shop.session.device_binding = \"on\"",
            "frontend.shop.session.device_binding",
            "\"preferred\"",
        ),
        (
            "frontend.shop.route.orders.require_fresh_device = true",
            "frontend.shop.route.orders.require_fresh_device",
            "not bound to devices",
        ),
        (
            "frontend.shop.session.device_binding = \"preferred\"\nfrontend.shop.route.orders = { token = \"none\", require_fresh_device = true }",
            "frontend.shop.route.orders.require_fresh_device",
            "only a session has a device",
        ),
        (
            "frontend.shop.origin = \"http://shop.example.com\"\nfrontend.shop.session.device_binding = \"preferred\"",
            "frontend.shop.origin",
            "http",
        ),
    ]);
}
