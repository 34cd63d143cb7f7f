//! Routes that answer pages, for people who follow links: a renderer, an application with forms, a development server.

/// What a route that answers pages does beside what every route does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Documents {
    /// What becomes of a navigation that needs a user, where nobody is signed in.
    pub login: AnonymousPage,
}

/// What becomes of a navigation that needs a user, where nobody is signed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnonymousPage {
    /// A login begins, and ends at the page.
    BeginsLogin,
    /// It is refused with 401.
    IsRefused,
}
