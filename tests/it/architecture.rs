//! The rules of the house that a compiler does not know.

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
const WITHOUT_SERVER: [&str; 9] = [
    "frontend",
    "coordination",
    "ledger",
    "session",
    "oidc",
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
