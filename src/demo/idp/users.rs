//! The two people who can sign in. Their passwords are public.

use subtle::ConstantTimeEq;

/// A person.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) username: &'static str,
    pub(crate) password: &'static str,
    /// Not the username, so that a mix-up of the two shows.
    pub(crate) sub: &'static str,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) roles: &'static [&'static str],
}

pub(crate) static USERS: [User; 2] = [
    User {
        username: "alice",
        password: "wonderland",
        sub: "8f2c1d7e-alice",
        name: "Alice Liddell",
        email: "alice@example.com",
        roles: &["buyer", "admin"],
    },
    User {
        username: "bob",
        password: "builder",
        sub: "41b7e09a-bob",
        name: "Bob Baumeister",
        email: "bob@example.com",
        roles: &["buyer"],
    },
];

/// The user with this name and password.
pub(super) fn authenticate(username: &str, password: &str) -> Option<&'static User> {
    USERS
        .iter()
        .find(|user| user.username == username)
        .filter(|user| bool::from(user.password.as_bytes().ct_eq(password.as_bytes())))
}
