//! The rules of the house that a compiler does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module in layer order, as `src/lib.rs` declares them: each may use only those after it. The binary's own
/// modules stand before them.
fn layers() -> Vec<String> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let lib = fs::read_to_string(lib).expect("readable");
    let declared = lib.lines().filter_map(|line| {
        let name = line.strip_prefix("pub ").unwrap_or(line);
        name.strip_prefix("mod ")?.strip_suffix(';')
    });
    ["main", "mode"]
        .into_iter()
        .chain(declared)
        .map(str::to_owned)
        .collect()
}

/// These know nothing of the HTTP server.
const WITHOUT_SERVER: [&str; 10] = [
    "frontend",
    "coordination",
    "ledger",
    "session",
    "oidc",
    "proof",
    "keyring",
    "page",
    "problem",
    "names",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// (file, module, line number, line) of every line outside test modules.
fn lines() -> Vec<(String, String, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "the sources are found");
    let mut lines = Vec::new();
    for file in files {
        let relative = file
            .strip_prefix(&root)
            .expect("below src")
            .display()
            .to_string();
        let module = relative
            .split(['/', '.'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let text = fs::read_to_string(&file).expect("readable");
        let code = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if !line.trim_start().starts_with("//") {
                lines.push((
                    relative.clone(),
                    module.clone(),
                    number + 1,
                    line.to_owned(),
                ));
            }
        }
    }
    lines
}

/// The modules that a line names after `crate::`.
fn used(line: &str) -> Vec<String> {
    let mut used = Vec::new();
    for path in line.split("crate::").skip(1) {
        // Of `crate::{a, b::C}` each item begins with a module.
        let items: Vec<&str> = match path.strip_prefix('{') {
            Some(group) => group.split(',').map(str::trim).collect(),
            None => vec![path],
        };
        for item in items {
            let is_part = |c: &char| c.is_ascii_lowercase() || *c == '_';
            used.push(item.chars().take_while(is_part).collect());
        }
    }
    used
}

#[test]
fn imports_go_one_way() {
    let layers = layers();
    let rank = |module: &str| layers.iter().position(|layer| *layer == module);
    let mut wrong = Vec::new();
    for (file, module, number, line) in lines() {
        let Some(own) = rank(&module) else {
            assert_eq!(
                module, "lib",
                "src/{file}: declare this module in src/lib.rs, in a block of its own"
            );
            continue;
        };
        for used in used(&line) {
            if used != module && rank(&used).is_some_and(|other| other < own) {
                wrong.push(format!("src/{file}:{number}: {module} uses {used}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a module may use only those that src/lib.rs declares after it:\n{}",
        wrong.join("\n")
    );
}

/// The modules that `cargo fuzz` leaves out, as `src/lib.rs` has them, and the crates, as `Cargo.toml` has them.
fn without_fuzzing() -> (Vec<String>, Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = fs::read_to_string(root.join("src/lib.rs")).expect("readable");
    let modules = lib.lines().zip(lib.lines().skip(1));
    let modules = modules.filter_map(|(attribute, line)| {
        let (_, name) = line.split_once("mod ")?;
        let is_out = attribute.starts_with("#[cfg") && attribute.contains("not(fuzzing)");
        is_out.then(|| name.trim_end_matches(';').to_owned())
    });
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("readable");
    let crates = manifest
        .lines()
        .skip_while(|line| *line != "[target.'cfg(not(fuzzing))'.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")));
    (modules.collect(), crates.collect())
}

#[test]
fn what_is_fuzzed_needs_nothing_that_the_fuzz_build_leaves_out() {
    let (modules, crates) = without_fuzzing();
    assert!(
        modules.contains(&"server".to_owned()) && crates.contains(&"actix_web".to_owned()),
        "{modules:?} {crates:?}"
    );
    let names_crate = |line: &str, name: &str| {
        line.match_indices(name).any(|(at, _)| {
            let is_whole =
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_:\"".contains(c));
            is_whole && line[at + name.len()..].starts_with("::")
        })
    };
    let wrong: Vec<String> = lines()
        .into_iter()
        .filter(|(file, module, ..)| {
            let is_in = !["lib", "main", "mode"].contains(&module.as_str());
            is_in && !modules.contains(module) && !file.contains("tests")
        })
        .filter(|(.., line)| {
            used(line).iter().any(|used| modules.contains(used))
                || crates.iter().any(|name| names_crate(line, name))
        })
        .map(|(file, _, number, line)| format!("src/{file}:{number}: {line}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "take the module's `cfg` away in src/lib.rs, or the crate's line out of the table for `cfg(not(fuzzing))`:\n{}",
        wrong.join("\n")
    );
    assert!(names_crate("use clap::Parser;", "clap"));
    assert!(!names_crate("use crate::clap::Parser;", "clap"));
}

#[test]
fn the_protocol_and_the_session_know_no_http_server() {
    let wrong: Vec<String> = lines()
        .into_iter()
        .filter(|(_, module, _, line)| {
            WITHOUT_SERVER.contains(&module.as_str()) && line.contains("actix_web")
        })
        .map(|(file, _, number, line)| format!("src/{file}:{number}: {line}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_clock_reads_the_system_clock() {
    let wrong: Vec<String> = lines()
        .into_iter()
        .filter(|(_, module, _, line)| module != "clock" && line.contains("SystemTime::now"))
        .map(|(file, _, number, line)| format!("src/{file}:{number}: {line}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_problem_code_needs_no_other_source_file_than_its_table() {
    // A match that names every variant would have to grow with each new one.
    let table = lines()
        .into_iter()
        .filter(|(file, ..)| file == "problem.rs");
    let variants: BTreeSet<String> = table
        .skip_while(|(.., line)| !line.starts_with("pub enum Problem "))
        .take_while(|(.., line)| line != "}")
        .filter_map(|(.., line)| {
            let name = line.strip_prefix("    ")?;
            let end = name.find(|c: char| !c.is_alphanumeric())?;
            let is_variant = name.starts_with(|c: char| c.is_ascii_uppercase());
            is_variant.then(|| name[..end].to_owned())
        })
        .collect();
    assert!(variants.len() > 15, "{variants:?}");
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, _, _, line) in lines() {
        for used in line.split("Problem::").skip(1) {
            let end = used.find(|c: char| !c.is_alphanumeric());
            let used = used[..end.unwrap_or(used.len())].to_owned();
            named.entry(file.clone()).or_default().insert(used);
        }
    }
    assert!(named.contains_key("server/page/words.rs"), "uses are found");
    for (file, named) in named {
        let others: Vec<_> = variants.difference(&named).collect();
        assert!(!others.is_empty(), "src/{file} names every problem");
    }
}

/// These measure how long something takes: a connection, a body, a store, the shutdown. `ledger` compares when a client
/// was told with when the next request came, `assets` when it looked into a directory last. All others take the time from a `Clock`, so that tests can move it.
const MEASURE_TIME: [&str; 11] = [
    "api",
    "assets",
    "bff",
    "clock",
    "coordination",
    "demo",
    "ledger",
    "proxy",
    "request",
    "server",
    "telemetry",
];

#[test]
fn only_what_measures_takes_an_instant() {
    let wrong: Vec<String> = lines()
        .into_iter()
        .filter(|(file, module, _, line)| {
            line.contains("Instant::now")
                && !file.contains("tests")
                && !MEASURE_TIME.contains(&module.as_str())
        })
        .map(|(file, _, number, line)| format!("src/{file}:{number}: {line}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where an endpoint may be named: its row, its dispatch, and what a page says to a person who met a problem at it.
const NAMES_ENDPOINTS: [&str; 4] = [
    "frontend/endpoint.rs",
    "endpoint/mod.rs",
    "server/page/",
    "server/response/problem.rs",
];

#[test]
fn what_an_endpoint_is_stands_in_one_table() {
    let names_one = |line: &str| {
        line.match_indices("Endpoint::").any(|(at, word)| {
            let is_whole = !line[..at].ends_with(char::is_alphanumeric);
            let name = &line[at + word.len()..];
            is_whole && name.starts_with(char::is_uppercase) && !name.starts_with("ALL")
        })
    };
    let wrong: Vec<String> = lines()
        .into_iter()
        .filter(|(file, _, _, line)| {
            let may = NAMES_ENDPOINTS.iter().any(|place| file.starts_with(place));
            !may && !file.starts_with("demo/") && names_one(line)
        })
        .map(|(file, _, number, line)| format!("src/{file}:{number}: {line}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "ask Endpoint::rules instead:\n{}",
        wrong.join("\n")
    );
    assert!(names_one("if endpoint == Some(Endpoint::Login) {"));
    assert!(!names_one("Endpoint::ALL"));
}

/// In these modules no file needs a file that needs it. A `mod.rs` counts as a file that needs all that it declares.
const WITHOUT_CIRCLES: [&str; 6] = [
    "config", "endpoint", "frontend", "guard", "request", "session",
];

/// The modules that the `use`s and paths of a file name, relative to `src`: `config/layer`, `config/resolve`.
fn needs(file: &str, code: &str) -> Vec<String> {
    let own: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    // `a/mod.rs` is the module `a`; `a/b.rs` is `a::b`.
    let module: Vec<&str> = own.iter().copied().filter(|part| *part != "mod").collect();
    let joined = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut needs = Vec::new();
    for start in ["crate::", "super::", "mod "] {
        for (at, _) in joined.match_indices(start) {
            let before = joined[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base = match start {
                "crate::" => Vec::new(),
                "mod " => module.clone(),
                _ => module[..module.len() - 1].to_vec(),
            };
            let mut rest = &joined[at + start.len()..];
            while let Some(above) = rest.strip_prefix("super::") {
                base.pop();
                rest = above;
            }
            let end = rest.find([';', '(', ')']).unwrap_or(rest.len());
            for name in paths(&rest[..end]) {
                let path = base.iter().copied().chain(name.split("::"));
                needs.push(path.collect::<Vec<_>>().join("/"));
            }
        }
    }
    needs
}

/// `a::{b, c::{d, e}}` names `a::b`, `a::c::d`, `a::c::e`; only what stands in front of the first space counts.
fn paths(tree: &str) -> Vec<String> {
    let Some((base, group)) = tree.split_once('{') else {
        let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        return vec![tree[..end.unwrap_or(tree.len())].to_owned()];
    };
    if base.contains(' ') {
        return paths(base);
    }
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            ',' if depth == 0 => members.push(String::new()),
            c => members.last_mut().expect("one at least").push(c),
        }
    }
    // A list over several lines ends in a comma.
    let members = members.iter().map(|member| member.trim());
    let members = members.filter(|member| !member.is_empty()).flat_map(paths);
    members.map(|member| format!("{base}{member}")).collect()
}

#[test]
fn the_paths_of_a_file_are_read_as_the_compiler_reads_them() {
    let code = "mod d; use super::{a, b::{c, d},}; let x = super::super::e::f(g); use crate::h::*;";
    let found = needs("top/one/two.rs", code);
    let expect = [
        "h/",
        "top/one/a",
        "top/one/b/c",
        "top/one/b/d",
        "top/e/f",
        "top/one/two/d",
    ];
    assert_eq!(found, expect);
}

/// The code of each file, tests left out.
fn texts() -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (file, _, _, line) in lines() {
        if !file.contains("tests") {
            let text = texts.entry(file).or_default();
            text.push_str(&line);
            text.push('\n');
        }
    }
    texts
}

/// The file that has what is at this path, or the nearest around it.
fn file_of(texts: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let mut path = path;
    loop {
        let found = [format!("{path}.rs"), format!("{path}/mod.rs")];
        if let Some(file) = found.into_iter().find(|file| texts.contains_key(file)) {
            return Some(file);
        }
        path = path.rsplit_once('/')?.0;
    }
}

fn top(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

fn is_whole(file: &str) -> bool {
    file.ends_with("/mod.rs")
}

/// Each file, and those that it needs.
type Needed = BTreeMap<String, BTreeSet<String>>;

/// Files that need each other, each circle once.
fn circles(graph: &Needed) -> BTreeSet<Vec<&str>> {
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(file) = next.pop() {
            for used in graph.get(file).into_iter().flatten() {
                if reached.insert(used.as_str()) {
                    next.push(used);
                }
            }
        }
        reached
    };
    let in_circles = graph
        .keys()
        .filter(|file| reached(file).contains(file.as_str()));
    let circle_of = |file: &String| {
        let mut circle: Vec<&str> = reached(file).into_iter().collect();
        circle.retain(|other| reached(other).contains(file.as_str()));
        circle
    };
    in_circles.map(circle_of).collect()
}

/// What every file of the strict modules needs of the others, `mod.rs` included.
fn strict_graph(texts: &BTreeMap<String, String>) -> Needed {
    let is_strict = |file: &str| WITHOUT_CIRCLES.contains(&top(file));
    let needed_by = |file: &String, text: &String| {
        let needed = needs(file, text).into_iter();
        let needed = needed.filter_map(|path| file_of(texts, &path));
        let needed = needed.filter(|other| other != file && is_strict(other));
        (file.clone(), needed.collect())
    };
    let strict = texts.iter().filter(|(file, _)| is_strict(file));
    strict.map(|(file, text)| needed_by(file, text)).collect()
}

/// What every file needs of its own module. What `mod.rs` re-exports counts as used from where it is; `mod.rs` itself does not
/// count, because it names all below it.
fn graph_within_modules(texts: &BTreeMap<String, String>) -> Needed {
    let mut declared: BTreeMap<String, String> = BTreeMap::new();
    for (file, text) in texts {
        let Some(module) = file.strip_suffix("/mod.rs") else {
            continue;
        };
        for re_export in text.split("pub").skip(1) {
            let end = re_export.find(';').unwrap_or(re_export.len());
            let Some((_, tree)) = re_export[..end].split_once("use ") else {
                continue;
            };
            let tree = tree.split_whitespace().collect::<Vec<_>>().join(" ");
            for path in paths(tree.trim_start_matches("self::")) {
                let path = path.replace("::", "/");
                let from = file_of(texts, &format!("{module}/{path}"));
                if let (Some(from), Some(item)) = (from, path.rsplit('/').next()) {
                    declared.insert(format!("{module}/{item}"), from);
                }
            }
        }
    }
    let mut graph = Needed::new();
    for (file, text) in texts.iter().filter(|(file, _)| !is_whole(file)) {
        let needed = needs(file, text).into_iter().filter_map(|path| {
            let re_exported = declared.get(&path).cloned();
            re_exported.or_else(|| file_of(texts, &path))
        });
        let needed = needed.filter(|other| other != file && !is_whole(other));
        let needed = needed.filter(|other| top(other) == top(file));
        graph.insert(file.clone(), needed.collect());
    }
    graph
}

#[test]
fn no_two_files_need_each_other() {
    let texts = texts();
    let strict = strict_graph(&texts);
    assert!(
        strict.len() > 20 && strict.values().any(|needed| needed.len() > 3),
        "{strict:#?}"
    );
    let none = BTreeSet::new();
    assert_eq!(circles(&strict), none, "these need each other");
    let graph = graph_within_modules(&texts);
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 100);
    assert_eq!(
        circles(&graph),
        none,
        "these use each other; move what both need into a file of its own"
    );
}
