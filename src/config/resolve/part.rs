//! `[frontend.<name>.route.<name>.part.<name>]`: the calls of a composed route, and which of them needs the answer of which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::call::{cookie_names, exchange, token, upstream};
use super::resolver::{DAY, Resolver};
use crate::compose::{InvalidTemplate, Pointer, Shape, Source, Template};
use crate::config::key_path::KeyPath;
use crate::config::mistake::did_you_mean;
use crate::config::settings;
use crate::frontend::{Composition, Each, Part, PartValue, RoutePath, TokenRequirement};
use crate::names::PartName;
use crate::oidc::TokenExchange;

/// What placeholders may begin with, beside the names of parts.
const RESERVED: [&str; 3] = ["query", "path", "item"];

/// The largest answer that may be configured, because answers are held in memory.
const MOST_BYTES: u64 = 64 << 20;

/// A part that has been read by itself. Which other parts need it is not known yet.
struct Draft {
    name: PartName,
    template: Option<Template<Source>>,
    shape: Shape,
    each: Option<usize>,
}

/// What a composed route is made of; `None` if something cannot be used.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
    route: &settings::Route,
    path: &RoutePath,
    of_route: Option<&Arc<TokenExchange>>,
) -> Option<Composition> {
    let parts_at = at.child("part");
    refuse_forwarding(resolver, at, route);
    let least = Duration::from_millis(1);
    let deadline = resolver.within(&at.child("deadline"), route.deadline.0, least, DAY);
    cookie_names(resolver, &at.child("cookies"), &route.cookies);
    let names: Vec<&str> = route.part.keys().map(String::as_str).collect();
    let drafts: Vec<Option<Draft>> = route
        .part
        .iter()
        .map(|(name, part)| draft(resolver, &parts_at.child(name), name, part, &route.part))
        .collect();
    let mut drafts: Vec<Draft> = drafts.into_iter().collect::<Option<_>>()?;
    let mut parts = Vec::new();
    for (index, (name, settings)) in route.part.iter().enumerate() {
        let at = parts_at.child(name);
        let mut known = Known {
            frontend,
            path,
            names: &names,
            drafts: &mut drafts,
            needs: Vec::new(),
        };
        let template = known.look_up(resolver, &at.child("path"), index);
        let needs = known.needs;
        let part_token = settings.token.as_ref().unwrap_or(&route.token);
        let part_token = token(resolver, &at.child("token"), part_token);
        let is_users = part_token.is_some_and(TokenRequirement::is_users);
        let own = exchange(
            resolver,
            &at.child("exchange"),
            settings.exchange.as_ref(),
            part_token,
        );
        let upstream = upstream(resolver, &at.child("upstream"), settings.upstream.as_ref());
        let timeout = settings
            .timeout
            .map(|span| resolver.within(&at.child("timeout"), span.0, least, DAY));
        let is_size = resolver.ensure(
            (1..=MOST_BYTES).contains(&settings.max_bytes.0),
            &at.child("max_bytes"),
            "out of bounds",
            "write a size from 1 to 64MiB",
        );
        let is_parallel = resolver.ensure(
            (1..=16).contains(&settings.parallel.0),
            &at.child("parallel"),
            "out of bounds",
            "write a number from 1 to 16",
        );
        let part = || {
            Some(Part {
                name: drafts.get(index)?.name.clone(),
                upstream: upstream?,
                token: part_token?,
                exchange: own.ok()?.or_else(|| of_route.filter(|_| is_users).cloned()),
                path: template?,
                shape: Shape::default(),
                is_optional: settings.optional.0,
                timeout,
                max_bytes: usize::try_from(settings.max_bytes.0)
                    .ok()
                    .filter(|_| is_size)?,
                each: drafts.get(index)?.each.map(|part| Each {
                    part,
                    parallel: settings.parallel.0,
                }),
                needs,
            })
        };
        parts.push(part().filter(|_| is_parallel));
    }
    let mut parts: Vec<Part> = parts.into_iter().collect::<Option<_>>()?;
    for (part, draft) in parts.iter_mut().zip(drafts) {
        part.shape = draft.shape;
    }
    let is_inline = route.part.values().any(|part| part.inline.0);
    let inline_is_alone = resolver.ensure(
        !is_inline || parts.len() == 1,
        &parts_at,
        "an inline part is the whole answer, but the route has several parts",
        "remove inline, or the other parts",
    );
    let carries_token = |part: &Part| part.token != TokenRequirement::None;
    let scopes_are_checked = resolver.ensure(
        route.require_scopes.is_empty() || parts.iter().any(carries_token),
        &at.child("require_scopes"),
        "no part of the route carries a token that could have a scope",
        "remove it, or give a part a token",
    );
    let has_end = refuse_cycle(resolver, &parts_at, &parts);
    (inline_is_alone && scopes_are_checked && has_end).then(|| Composition {
        parts,
        deadline,
        cookies: route.cookies.clone(),
        is_inline,
    })
}

/// Refuses keys that are about forwarded requests, so that they are not silently ignored.
fn refuse_forwarding(resolver: &mut Resolver<'_>, at: &KeyPath, route: &settings::Route) {
    resolver.ensure(
        route.upstream.is_none(),
        &at.child("upstream"),
        "the route has parts, and an upstream too",
        "remove upstream, or the parts: a route forwards requests or composes an answer",
    );
    resolver.ensure(
        !route.websocket.0,
        &at.child("websocket"),
        "a route with parts answers JSON and takes no WebSocket",
        "remove it, or make it a route of its own",
    );
    for key in [
        "documents",
        "login",
        "strip_prefix",
        "methods",
        "body_limit",
        "timeout",
        "set_cookies",
        "strip_headers",
    ] {
        let at = at.child(key);
        if resolver.is_set(&at) {
            resolver.wrong(
                &at,
                "it is about requests that are forwarded, and a route with parts forwards none",
                match key {
                    "methods" => "remove it: a route with parts takes GET and HEAD",
                    "timeout" => "write deadline, or a timeout for each part",
                    _ => "remove it",
                },
            );
        }
    }
}

/// One part by itself.
fn draft(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    name: &str,
    part: &settings::Part,
    all: &BTreeMap<String, settings::Part>,
) -> Option<Draft> {
    let parsed = PartName::parse(name);
    if let Err(error) = &parsed {
        resolver.wrong(at, error.to_string(), "choose another name");
    }
    let is_free = resolver.ensure(
        !RESERVED.contains(&name),
        at,
        &format!("placeholders such as {{{name}:…}} have another meaning"),
        "choose another name",
    );
    let path_at = at.child("path");
    let remedy = "write the path to ask the API for, such as \"/orders?customer={sub}\"";
    let text = resolver.required(&path_at, part.path.as_ref(), remedy);
    let template = text.and_then(|text| {
        Template::parse(text)
            .map_err(|error| {
                let remedy = match error {
                    InvalidTemplate::Pointer(_) => "write a placeholder such as {me:/id}",
                    _ => "write a path such as \"/orders?customer={me:/id}&limit={query:limit}\"",
                };
                resolver.wrong(&path_at, format!("{text:?} is not usable: {error}"), remedy);
            })
            .ok()
    });
    let picked = part.pick.as_ref().map(|pick| {
        let member = |(name, text): (&String, &String)| {
            pointer(resolver, &at.child("pick").child(name), text)
                .map(|pointer| (name.clone(), pointer))
        };
        pick.iter().map(member).collect::<Vec<_>>()
    });
    let items = part
        .items
        .as_ref()
        .map(|text| pointer(resolver, &at.child("items"), text));
    resolver.ensure(
        part.max_items.is_none() || items.is_some(),
        &at.child("max_items"),
        "it counts the elements of items, which is not set",
        "set items to the pointer of the array, \"\" for the whole answer, or remove max_items",
    );
    let each = part
        .each
        .as_ref()
        .map(|of| each(resolver, &at.child("each"), of, name, all));
    resolver.ensure(
        each.is_some() || !resolver.is_set(&at.child("parallel")),
        &at.child("parallel"),
        "a part without each makes one call",
        "remove it, or set each",
    );
    let pick: Option<Vec<_>> =
        picked.map_or(Some(Vec::new()), |members| members.into_iter().collect());
    let (pick, has_pick) = (pick?, part.pick.is_some());
    let items = items.map_or(Some(None), |items| items.map(Some))?;
    let max_items = part.max_items.map(|count| count.0);
    let members = pick.iter().map(|(name, pointer)| (name.as_str(), pointer));
    Some(Draft {
        name: parsed.ok().filter(|_| is_free)?,
        template: Some(template?),
        shape: Shape::new(has_pick.then_some(members), items.as_ref(), max_items),
        each: each.map_or(Some(None), |each| each.map(Some))?,
    })
}

fn pointer(resolver: &mut Resolver<'_>, at: &KeyPath, text: &str) -> Option<Pointer> {
    let pointer = Pointer::parse(text);
    if let Err(error) = &pointer {
        resolver.wrong(
            at,
            format!("{text:?} is not usable: {error}"),
            "write a pointer such as \"/data/0/id\"",
        );
    }
    pointer.ok()
}

/// The index of the part that `each` names.
fn each(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    of: &str,
    own: &str,
    all: &BTreeMap<String, settings::Part>,
) -> Option<usize> {
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    let Some(other) = all.get(of) else {
        unknown_part(resolver, at, of, &names);
        return None;
    };
    let is_other = resolver.ensure(
        of != own,
        at,
        "a part cannot go over itself",
        "name another part",
    );
    let has_items = resolver.ensure(
        other.items.is_some(),
        at,
        &format!("the part {of} has no items, so there are no elements to go over"),
        &format!("set items of {of} to the pointer of its array, \"\" for the whole answer"),
    );
    let is_single = resolver.ensure(
        of == own || other.each.is_none(),
        at,
        &format!("the part {of} has each itself, so it has several answers"),
        "name a part that makes one call",
    );
    let place = names.iter().position(|name| *name == of);
    place.filter(|_| is_other && has_items && is_single)
}

fn unknown_part(resolver: &mut Resolver<'_>, at: &KeyPath, name: &str, names: &[&str]) {
    let remedy = match did_you_mean(name, names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("the route has the parts \"{}\"", names.join("\", \"")),
    };
    resolver.wrong(at, format!("there is no part {name:?}"), remedy);
}

/// What placeholders can be filled with.
struct Known<'k> {
    frontend: &'k settings::Frontend,
    path: &'k RoutePath,
    names: &'k [&'k str],
    drafts: &'k mut [Draft],
    /// The parts that were referred to.
    needs: Vec<usize>,
}

impl Known<'_> {
    /// The template of a part, with every placeholder looked up.
    fn look_up(
        &mut self,
        resolver: &mut Resolver<'_>,
        at: &KeyPath,
        index: usize,
    ) -> Option<Template<PartValue>> {
        let draft = self.drafts.get_mut(index)?;
        let (template, each) = (draft.template.take()?, draft.each);
        self.needs.extend(each);
        let mut is_fine = true;
        let looked_up = template.map(|source| {
            let value = self.value(resolver, at, source, each);
            is_fine &= value.is_some();
            // All mistakes are reported at once.
            Ok::<_, std::convert::Infallible>(value.unwrap_or(PartValue::Query(String::new())))
        });
        self.needs.sort_unstable();
        self.needs.dedup();
        looked_up.ok().filter(|_| is_fine)
    }

    fn value(
        &mut self,
        resolver: &mut Resolver<'_>,
        at: &KeyPath,
        source: Source,
        each: Option<usize>,
    ) -> Option<PartValue> {
        match source {
            Source::Claim(name) => {
                let is_known = resolver.ensure(
                    knows_claim(self.frontend, &name),
                    at,
                    &format!("sessions keep no claim {name:?}"),
                    "add it to session.claims, or describe it in a table [frontend.<name>.claim.<name>]",
                );
                is_known.then_some(PartValue::Claim(name))
            }
            Source::Query(name) => Some(PartValue::Query(name)),
            Source::Path(name) => {
                let is_there = resolver.ensure(
                    self.path.named().any(|known| known == name),
                    at,
                    &format!("the route's path names no segment {name:?}"),
                    &format!("write {{path:{name}}} in the route's path"),
                );
                is_there.then_some(PartValue::Path(name))
            }
            Source::Item(pointer) => {
                let Some(each) = each else {
                    let remedy = "set each to the part whose elements are gone over";
                    resolver.wrong(
                        at,
                        "{item:…} is a value of an element, and the part has no each",
                        remedy,
                    );
                    return None;
                };
                let draft = self.drafts.get_mut(each)?;
                Some(PartValue::Item(draft.shape.refer_to_element(&pointer)))
            }
            Source::Part(name, pointer) => {
                let Some(place) = self.names.iter().position(|known| *known == name) else {
                    unknown_part(resolver, at, &name, self.names);
                    return None;
                };
                let draft = self.drafts.get_mut(place)?;
                let has_one_answer = resolver.ensure(
                    draft.each.is_none(),
                    at,
                    &format!("the part {name} has each, so it has several answers"),
                    "take the value from a part that makes one call",
                );
                self.needs.push(place);
                has_one_answer.then(|| PartValue::Part(place, draft.shape.refer(&pointer)))
            }
        }
    }
}

/// Whether sessions have a claim by this name.
fn knows_claim(frontend: &settings::Frontend, name: &str) -> bool {
    let required = frontend
        .route
        .values()
        .flat_map(|route| route.require_claims.keys());
    matches!(name, "sub" | "iss" | "sid")
        || frontend.claim.contains_key(name)
        || frontend
            .session
            .claims
            .iter()
            .chain(required)
            .any(|known| known == name)
}

/// Refuses parts that wait for themselves: they would wait for ever.
fn refuse_cycle(resolver: &mut Resolver<'_>, at: &KeyPath, parts: &[Part]) -> bool {
    let mut done = vec![false; parts.len()];
    loop {
        let is_done = |place: &usize| done.get(*place).copied().unwrap_or_default();
        let is_ready = |(place, part): (usize, &Part)| {
            (!is_done(&place) && part.needs.iter().all(is_done)).then_some(place)
        };
        let Some(next) = parts.iter().enumerate().find_map(is_ready) else {
            break;
        };
        if let Some(done) = done.get_mut(next) {
            *done = true;
        }
    }
    let waiting = parts.iter().zip(&done).filter(|(_, done)| !**done);
    let waiting: Vec<&str> = waiting.map(|(part, _)| part.name.as_str()).collect();
    resolver.ensure(
        waiting.is_empty(),
        at,
        &format!("these parts wait for one another: {}", waiting.join(", ")),
        "break the circle: each placeholder {part:/…} and each \"each\" makes a part wait for another",
    )
}
