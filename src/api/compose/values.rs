//! What fills the placeholders of one request: claims, its own path and query, and the answers of other parts.

use std::borrow::Cow;
use std::rc::Rc;

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::compose::Filling;
use crate::frontend::{Composition, Matched, PartValue, claim_text};
use crate::problem::Problem;
use crate::request::Ctx;
use crate::session::OpenSession;

/// What of a request may fill placeholders.
pub(super) struct Values<'a> {
    session: Option<Rc<OpenSession>>,
    matched: Matched<'a, 'a>,
    /// The parameters that parts name, decoded.
    query: Vec<(String, String)>,
}

impl<'a> Values<'a> {
    /// Refuses a request that says twice what can be said once, or not at all what a path needs.
    pub(super) fn of(
        plan: &Composition,
        matched: Matched<'a, 'a>,
        ctx: &Ctx<'_>,
    ) -> Result<Self, Problem> {
        let raw = ctx.request.uri().query().unwrap_or_default();
        let is_wanted = |name: &str| {
            let paths = plan.parts.iter().map(|part| &part.path);
            let mut all = paths.flat_map(|path| path.in_path().chain(path.in_query()));
            all.any(|value| matches!(value, PartValue::Query(wanted) if wanted == name))
        };
        let mut query: Vec<(String, String)> = Vec::new();
        // `+` is a space in a form's encoding, and so in a query.
        for (name, value) in
            form_urlencoded::parse(raw.as_bytes()).filter(|(name, _)| is_wanted(name))
        {
            if query.iter().any(|(known, _)| *known == name) {
                return Err(Problem::BadRequest("a query parameter is repeated"));
            }
            query.push((name.into_owned(), value.into_owned()));
        }
        let in_paths = plan.parts.iter().flat_map(|part| part.path.in_path());
        for value in in_paths {
            if let PartValue::Query(wanted) = value
                && !query.iter().any(|(name, _)| name == wanted)
            {
                return Err(Problem::BadRequest("a query parameter is missing"));
            }
        }
        Ok(Self {
            session: ctx.caller.session().cloned(),
            matched,
            query,
        })
    }

    /// The value of a placeholder, if it is one of the request itself.
    pub(super) fn get(&self, value: &PartValue) -> Filling<'_> {
        match value {
            PartValue::Claim(name) => {
                let session = self.session.as_ref();
                let claim = session.and_then(|session| claim_text(session, name));
                claim.map_or(Filling::Missing, Filling::Value)
            }
            PartValue::Path(name) => {
                let segment = self.matched.route.path.segment(name, self.matched.path);
                let decoded =
                    segment.and_then(|segment| percent_decode_str(segment).decode_utf8().ok());
                decoded.map_or(Filling::Missing, Filling::Value)
            }
            PartValue::Query(name) => {
                let found = self.query.iter().find(|(known, _)| known == name);
                found.map_or(Filling::Omitted, |(_, value)| {
                    Filling::Value(Cow::Borrowed(value))
                })
            }
            PartValue::Item(_) | PartValue::Part(..) => Filling::Missing,
        }
    }
}
