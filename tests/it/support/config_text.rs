//! A configuration as text, made of tables and lines.

use std::fmt;

/// The tables in the order in which they were first named, each with its lines; then further tables as they stand.
#[derive(Default)]
pub struct ConfigText {
    tables: Vec<(String, String)>,
    further: String,
}

impl ConfigText {
    /// Ports that the system chooses, and one frontend, `shop`, without routes. Its client is also called `shop`.
    pub fn shop(origin: &str, issuer: &str, secret_file: &str) -> Self {
        Self::shop_as("shop", origin, issuer, secret_file)
    }

    /// The same with other lines for how the client authenticates.
    pub fn shop_with(credentials: &str, origin: &str, issuer: &str) -> Self {
        Self::client("shop", credentials, origin, issuer)
    }

    /// The same with another client id.
    pub fn shop_as(client_id: &str, origin: &str, issuer: &str, secret_file: &str) -> Self {
        let credentials = format!("client_secret = {{ file = \"{secret_file}\" }}");
        Self::client(client_id, &credentials, origin, issuer)
    }

    fn client(client_id: &str, credentials: &str, origin: &str, issuer: &str) -> Self {
        Self::default()
            .lines("server", "bind = \"127.0.0.1:0\"")
            .lines("server", "admin_bind = \"127.0.0.1:0\"")
            .lines("server", "shutdown_delay = \"0s\"")
            .lines("frontend.shop", &format!("origin = \"{origin}\""))
            .lines("frontend.shop.oidc", &format!("issuer = \"{issuer}\""))
            .lines(
                "frontend.shop.oidc",
                &format!("client_id = \"{client_id}\""),
            )
            .lines("frontend.shop.oidc", credentials)
    }

    /// Adds lines to a table.
    pub fn lines(mut self, table: &str, lines: &str) -> Self {
        let known = self.tables.iter().position(|(name, _)| name == table);
        let known = known.unwrap_or_else(|| {
            self.tables.push((table.to_owned(), String::new()));
            self.tables.len() - 1
        });
        let text = &mut self.tables[known].1;
        text.push_str(lines);
        text.push('\n');
        self
    }

    pub fn upstream(self, name: &str, url: &str) -> Self {
        self.lines(&format!("upstream.{name}"), &format!("url = \"{url}\""))
    }

    /// A route of `shop` whose name is the last segment of its path.
    pub fn route(self, path: &str, upstream: &str, token: &str) -> Self {
        let (_, name) = path.rsplit_once('/').expect("a path");
        self.lines(
            &format!("frontend.shop.route.{name}"),
            &format!("path = \"{path}\"\nupstream = \"{upstream}\"\ntoken = \"{token}\""),
        )
    }

    /// Adds whole tables.
    pub fn tables(mut self, text: &str) -> Self {
        self.further.push_str(text);
        self.further.push('\n');
        self
    }
}

impl fmt::Display for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, lines) in &self.tables {
            writeln!(f, "[{name}]\n{lines}")?;
        }
        f.write_str(&self.further)
    }
}
