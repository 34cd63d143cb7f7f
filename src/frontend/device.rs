//! Where in a frontend a bound session must come with its device's proof, as browsers are told it.
//!
//! # Invariants
//! - In the scope are the paths that ask for a proof, and no others: a page paints before the proof is there.
//!
//! # Spec
//! Device Bound Session Credentials (W3C), session scope: rules are read from the last to the first, and a path stands for all
//! below it.

use serde_json::{Value, json};

use super::app::Frontend;
use super::endpoint::Endpoint;

impl Frontend {
    /// The rules of the scope.
    pub fn device_scope(&self) -> Vec<Value> {
        let mut routes: Vec<(&str, bool)> = self
            .routes
            .iter()
            .map(|route| (route.path.fixed_front(), route.opens_session()))
            .collect();
        // What is deeper is read first. Of two with one front, whichever asks for the proof.
        routes.sort_by_key(|(path, asks)| (path.len(), *asks));
        let mut rules = vec![rule("/", false)];
        rules.extend(routes.into_iter().map(|(path, asks)| rule(path, asks)));
        // No route is below the endpoints.
        rules.push(rule(&self.base_path, false));
        let endpoints = Endpoint::ALL.iter().filter(|one| one.asks_for_device());
        rules.extend(endpoints.map(|one| {
            let name = one.rules().name;
            rule(&format!("{}/{name}", self.base_path), true)
        }));
        rules
    }
}

fn rule(path: &str, asks: bool) -> Value {
    let kind = if asks { "include" } else { "exclude" };
    json!({"type": kind, "domain": "*", "path": path})
}
