//! A problem as a page that a person can read: what happened, what to do about it, and a way back.
//!
//! `words` has the text. This file adds the links, which lead to paths of the frontend's own origin only.

mod words;

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use url::form_urlencoded::byte_serialize;

use crate::frontend::Endpoint;
use crate::names::ReturnTo;
use crate::page;
use crate::problem::Problem;

/// Where the person met the problem.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The id of the request, to quote when asking for help.
    pub(super) id: &'a str,
    /// Where the endpoints are; `None` before a frontend is known.
    pub(super) base_path: Option<&'a str>,
    /// The endpoint that was asked. `None` if it was a route, or nothing that exists.
    pub(super) endpoint: Option<Endpoint>,
    /// Where the person wanted to be in the end: the `returnUrl` of a login, the address of a page.
    pub(super) back: Option<&'a ReturnTo>,
}

/// What a page offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// The application's first page.
    Home,
    /// A login that ends where the person wanted to be.
    SignIn(&'static str),
    /// The same once more.
    TryAgain,
}

/// The page.
pub(super) fn problem(
    mut builder: HttpResponseBuilder,
    problem: &Problem,
    place: Place<'_>,
) -> HttpResponse {
    let said = words::of(problem, place.endpoint);
    let mut body = format!("<main><h1>{}</h1>", said.heading);
    for paragraph in &said.text {
        // Writing to a String cannot fail.
        let _ = write!(body, "<p>{}</p>", page::escape(paragraph));
    }
    let links: Vec<_> = said
        .ways
        .iter()
        .filter_map(|way| link(*way, problem, place))
        .collect();
    if !links.is_empty() {
        body.push_str("<p class=\"ways\">");
        for (at, (label, href)) in links.iter().enumerate() {
            let class = if at == 0 { " class=\"first\"" } else { "" };
            let href = page::escape(href);
            let _ = write!(body, "<a{class} href=\"{href}\">{label}</a>");
        }
        body.push_str("</p>");
    }
    let _ = write!(
        body,
        "<p class=\"reference\">If you ask for help, say this: request <code>{}</code>, problem <code>{}</code>.",
        page::escape(place.id),
        problem.code()
    );
    if let Some(detail) = said.detail {
        let _ = write!(body, " {}", page::escape(&detail));
    }
    body.push_str("</p></main>");
    builder
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_LANGUAGE, "en"))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            page::policy("'none'", None),
        ))
        .body(page::document(said.heading, &body))
}

/// Label and address. `None` if there is no address for it.
fn link(way: Way, problem: &Problem, place: Place<'_>) -> Option<(&'static str, String)> {
    let base_path = place.base_path?;
    match way {
        Way::Home => Some(("Back to the application", "/".to_owned())),
        Way::SignIn(label) => {
            let login = format!("{base_path}/login");
            let login = problem.login_url().unwrap_or(&login);
            Some((label, returning(login, place.back)))
        }
        Way::TryAgain => {
            let address = match place.endpoint {
                Some(Endpoint::Callback | Endpoint::Login | Endpoint::LoginInitiation) => {
                    returning(&format!("{base_path}/login"), place.back)
                }
                _ => place.back?.as_str().to_owned(),
            };
            Some(("Try again", address))
        }
    }
}

/// The login that ends at `back`.
fn returning(login: &str, back: Option<&ReturnTo>) -> String {
    let Some(back) = back else {
        return login.to_owned();
    };
    let joint = if login.contains('?') { '&' } else { '?' };
    let back: String = byte_serialize(back.as_str().as_bytes()).collect();
    format!("{login}{joint}returnUrl={back}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint: Option<Endpoint>, back: Option<&ReturnTo>) -> Place<'_> {
        Place {
            id: "1f",
            base_path: Some("/bff"),
            endpoint,
            back,
        }
    }

    #[test]
    fn the_ways_keep_where_the_person_wanted_to_be() {
        // P06
        let back = ReturnTo::parse("/orders?page=2&x=%2F#end").unwrap();
        let failed = Problem::LoginFailed(crate::problem::LoginFailure::NoLoginAttempt);
        let step_up = Problem::StepUpRequired {
            login_url: "/bff/login?acr_values=high".to_owned(),
        };
        let down = Problem::IdentityProviderUnavailable;
        let encoded = "returnUrl=%2Forders%3Fpage%3D2%26x%3D%252F%23end";
        let callback = place(Some(Endpoint::Callback), Some(&back));
        let route = place(None, Some(&back));
        for (way, problem, place, want) in [
            (
                Way::SignIn(""),
                &failed,
                callback,
                format!("/bff/login?{encoded}"),
            ),
            (
                Way::SignIn(""),
                &step_up,
                route,
                format!("/bff/login?acr_values=high&{encoded}"),
            ),
            (
                Way::TryAgain,
                &down,
                callback,
                format!("/bff/login?{encoded}"),
            ),
            (Way::TryAgain, &down, route, back.as_str().to_owned()),
        ] {
            let (_, address) = link(way, problem, place).unwrap();
            assert_eq!(address, want, "{way:?} {place:?}");
        }
        assert_eq!(
            link(Way::TryAgain, &down, super::tests::place(None, None)),
            None
        );
    }
}
