//! `documents` and `login` of a route, and what they exclude.

use super::resolver::Resolver;
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::{AnonymousPage, Documents, Route, RouteTable};
use crate::names::{RequestPath, ReturnTo};

/// Whether a route answers pages, and what follows from that.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    route: &settings::Route,
) -> Option<Documents> {
    let login_at = at.child("login");
    let login = resolver.choice(
        &login_at,
        &route.login,
        &[
            ("problem", AnonymousPage::IsRefused),
            ("redirect", AnonymousPage::BeginsLogin),
        ],
    )?;
    resolver.ensure(
        route.documents.0 || login == AnonymousPage::IsRefused,
        &login_at,
        "only a page begins a login by itself; to a script a redirect is of no use",
        "add documents = true if the upstream answers pages, or remove login",
    );
    route.documents.0.then_some(Documents { login })
}

/// Warns of `login = "redirect"` where nobody is ever asked to sign in.
pub(super) fn warn_of_idle_login(resolver: &mut Resolver<'_>, at: &KeyPath, route: &Route) {
    let documents = route.documents();
    let is_set = documents.is_some_and(|documents| documents.login == AnonymousPage::BeginsLogin);
    if is_set && !route.begins_logins() {
        resolver.warn(
            &at.child("login"),
            "no page of this route needs a user, so no login begins here: write token = \"user\", or remove login",
        );
    }
}

/// Refuses files beside a route that has every path.
pub(super) fn refuse_assets(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) {
    if frontend.assets.is_none() {
        return;
    }
    for (name, route) in &frontend.route {
        resolver.ensure(
            route.path.as_deref() != Some("/"),
            &at.child("route").child(name).child("path"),
            "this route answers every path that no other route has, so no file of assets would be served",
            "remove assets, or give the route a path of its own",
        );
    }
}

/// Refuses an error page that begins the login again whose failure it is to tell of.
pub(super) fn check_error_page(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    error_page: Option<&ReturnTo>,
    routes: &RouteTable,
) {
    let Some(page) = error_page.map(ReturnTo::page) else {
        return;
    };
    let path = RequestPath::parse(page.as_str()).ok();
    let route = path.and_then(|path| routes.find(path));
    resolver.ensure(
        !route.is_some_and(|(route, _)| Route::begins_logins(route)),
        at,
        "this page needs a user, and its route has login = \"redirect\": a login that fails would begin again without end",
        "name a page that anybody may see",
    );
}
