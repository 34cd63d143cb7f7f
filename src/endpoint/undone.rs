//! What could not be done at the provider, though it was to end there: one line in the log, whatever it is made of.

use std::fmt::Display;

use crate::problem::Problem;

/// What was left undone, and why. Things with one cause stand together.
#[derive(Debug, Default)]
pub(super) struct Undone(Vec<(Vec<&'static str>, String)>);

impl Undone {
    /// Notes that this was not done.
    pub(super) fn add(&mut self, what: &'static str, why: impl Display) {
        let why = why.to_string();
        match self.0.iter_mut().find(|(_, known)| *known == why) {
            Some((all, _)) => all.push(what),
            None => self.0.push((vec![what], why)),
        }
    }

    /// Tells the log, if there is anything to tell. `context` says what has happened all the same.
    pub(super) fn tell(&self, context: &str) {
        if !self.0.is_empty() {
            log::warn!("{context}: {}", self.text());
        }
    }

    /// The same where the answer is this problem, because of what was left undone.
    pub(super) fn tell_cause(&self, problem: &Problem, context: &str) {
        if !self.0.is_empty() {
            log::warn!(code = problem.code(); "{context}: {}", self.text());
        }
    }

    fn text(&self) -> String {
        let one = |(what, why): &(Vec<&str>, String)| format!("{}: {why}", what.join(", "));
        let all: Vec<String> = self.0.iter().map(one).collect();
        all.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_cause_is_said_once() {
        let mut undone = Undone::default();
        undone.add("refresh_token not revoked", "down");
        undone.add("session not ended", "no address");
        undone.add("access_token not revoked", "down");
        assert_eq!(
            undone.text(),
            "refresh_token not revoked, access_token not revoked: down; session not ended: no address"
        );
    }
}
