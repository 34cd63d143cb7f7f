//! The routes of a frontend as a tree of segments, so that a request costs the same with one route and with a thousand.
//!
//! # Invariants
//! - The route with the most segments wins. Of two with as many, the one wins that is fixed at the first segment in which
//!   one is fixed and the other takes anything.
//! - Segments are compared decoded once, as [`RoutePath::rest`] compares them: both say the same of every path.

use std::collections::BTreeMap;

use super::path::RoutePath;
use super::route::Route;
use crate::names::{RequestPath, decode};

/// The routes of a frontend.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// In the order in which one route goes before another.
    routes: Vec<Route>,
    root: Node,
}

/// Where the paths of routes that begin alike part.
#[derive(Debug, Default)]
struct Node {
    /// The route that ends here, by its place in the table.
    route: Option<usize>,
    /// By the next segment, decoded.
    fixed: BTreeMap<Box<[u8]>, Node>,
    /// Where the next segment may be any.
    any: Option<Box<Node>>,
}

/// A route that matches, and how many segments it has.
#[derive(Clone, Copy)]
struct Found<'p> {
    depth: usize,
    route: usize,
    rest: &'p str,
}

impl RouteTable {
    /// Takes routes in any order; `config` has made sure that no two share a path.
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_cached_key(|route| route.path.precedence());
        let mut root = Node::default();
        for (index, route) in routes.iter().enumerate() {
            root.insert(&route.path, index);
        }
        Self { routes, root }
    }

    /// The route with the longest matching path, and what follows that in the request's path: empty, or beginning with `/`.
    pub fn find<'p>(&self, path: RequestPath<'p>) -> Option<(&Route, &'p str)> {
        let mut best = None;
        self.root.find(path.as_str(), 0, &mut best);
        let found = best?;
        Some((self.routes.get(found.route)?, found.rest))
    }

    /// Goes on with what was spent of the limits of `old` routes.
    pub(super) fn take_over(&mut self, old: &Self) {
        for route in &mut self.routes {
            let mut before = old.iter().filter(|old| old.name == route.name);
            if let Some(limit) = &mut route.rate_limit
                && let Some(spent) = before.next().and_then(|old| old.rate_limit.as_ref())
            {
                limit.take_over(spent);
            }
        }
    }

    /// Every route.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

impl Node {
    fn insert(&mut self, path: &RoutePath, route: usize) {
        let mut node = self;
        for segment in path.shape() {
            node = match segment {
                Some(text) => node.fixed.entry(decode(text).into()).or_default(),
                None => node.any.get_or_insert_default(),
            };
        }
        // Of two routes at one place the first counts.
        node.route.get_or_insert(route);
    }

    /// Looks for routes that `rest` begins with, at `depth` segments and more.
    ///
    /// Fixed segments are tried first. So the first route that is found at a depth is the one that counts there.
    fn find<'p>(&self, rest: &'p str, depth: usize, best: &mut Option<Found<'p>>) {
        if let Some(route) = self.route
            && best.is_none_or(|best| depth > best.depth)
        {
            *best = Some(Found { depth, route, rest });
        }
        let Some(tail) = rest.strip_prefix('/') else {
            return;
        };
        let end = tail.find('/').unwrap_or(tail.len());
        let Some((segment, rest)) = tail.split_at_checked(end) else {
            return;
        };
        // Only the last segment can be empty: a slash at the end of the path.
        if segment.is_empty() {
            return;
        }
        if !self.fixed.is_empty()
            && let Some(next) = self.fixed.get(&*decode(segment))
        {
            next.find(rest, depth + 1, best);
        }
        if let Some(next) = &self.any {
            next.find(rest, depth + 1, best);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frontend::samples;

    fn table(paths: &[String]) -> RouteTable {
        let mut routes: Vec<Route> = Vec::new();
        for path in paths {
            let route = samples::route(path);
            if !routes.iter().any(|one| one.path.is_same_place(&route.path)) {
                routes.push(route);
            }
        }
        RouteTable::new(routes)
    }

    /// The rule itself: the first route, in the order of precedence, that the path is below.
    fn one_by_one<'t, 'p>(
        table: &'t RouteTable,
        path: RequestPath<'p>,
    ) -> Option<(&'t str, &'p str)> {
        let mut routes = table.iter();
        routes.find_map(|route| Some((route.path.as_str(), route.path.rest(path)?)))
    }

    /// A path of few segments, of few words, so that routes and requests meet.
    fn path(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        let segments = prop::collection::vec(prop::sample::select(words), 0..5);
        (segments, any::<bool>()).prop_map(|(segments, ends_in_slash)| {
            let path = format!("/{}", segments.join("/"));
            if ends_in_slash && path.len() > 1 {
                path + "/"
            } else {
                path
            }
        })
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_a_search_one_by_one_finds(
            routes in prop::collection::vec(path(&["a", "b", "@", "%C3%BC", "{s}", "{t}"]), 0..9),
            asked in prop::collection::vec(path(&["a", "b", "ab", "@", "%40", "%c3%bc", "a%20"]), 1..20),
        ) {
            // T5: a tree by segment says what a search says
            let table = table(&routes);
            for asked in &asked {
                let path = RequestPath::parse(asked).unwrap();
                let found = table.find(path).map(|(route, rest)| (route.path.as_str(), rest));
                prop_assert_eq!(found, one_by_one(&table, path), "{:?} {}", routes, asked);
            }
        }
    }

    #[test]
    fn of_a_thousand_routes_a_request_passes_those_on_its_way() {
        // T5: the last of a thousand costs what the first does
        let paths: Vec<_> = (0..1000)
            .map(|n| format!("/{}/{}/{}", n / 100, n / 10 % 10, n % 10))
            .collect();
        let table = table(&paths);
        let mut level = vec![&table.root];
        for most in [1, 10, 100, 1000] {
            assert_eq!(level.len(), most);
            assert!(
                level
                    .iter()
                    .all(|node| node.fixed.len() <= 10 && node.any.is_none())
            );
            level = level.iter().flat_map(|node| node.fixed.values()).collect();
        }
        for asked in &paths {
            let path = RequestPath::parse(asked).unwrap();
            let found = table.find(path).map(|(route, _)| route.path.as_str());
            assert_eq!(found, Some(asked.as_str()));
        }
    }

    #[test]
    fn a_dead_end_leads_back_to_the_route_above_it() {
        let paths = ["/a/{s}/c", "/a/b", "/a/b/d", "/"].map(str::to_owned);
        let table = table(&paths);
        for (asked, expect) in [
            ("/a/b/c", Some(("/a/{s}/c", ""))),
            ("/a/b/x", Some(("/a/b", "/x"))),
            ("/a/b/d/", Some(("/a/b/d", "/"))),
            ("/a/", Some(("/", "/a/"))),
        ] {
            let path = RequestPath::parse(asked).unwrap();
            let found = table.find(path);
            let found = found.map(|(route, rest)| (route.path.as_str(), rest));
            assert_eq!(found, expect, "{asked}");
        }
        assert!(
            RouteTable::default()
                .find(RequestPath::parse("/").unwrap())
                .is_none()
        );
    }
}
