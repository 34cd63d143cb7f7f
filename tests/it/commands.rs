//! Every command that a document shows is run by a test, or is at least one that can be given. `tests/corpus/commands.toml`
//! names who runs which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::process::Place;

/// What begins with one of these is a command, also in the middle of a sentence.
const PROGRAMS: [&str; 13] = [
    "cargo",
    "curl",
    "docker",
    "git",
    "helm",
    "kubectl",
    "node",
    "npm",
    "openssl",
    "rsync",
    "sealgate",
    "systemctl",
    "tests/",
];

/// The shell's own words, and tools of every system, which are not under test.
const PLAIN: [&str; 16] = [
    "base64",
    "chgrp",
    "chmod",
    "do",
    "done",
    "groupadd",
    "install",
    "jq",
    "mktemp",
    "printf",
    "read",
    "rm",
    "rsync",
    "systemctl",
    "umask",
    "while",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect(file)
}

/// The files below a directory whose names end so, as paths from the root.
fn files(directory: &Path, ending: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !path.is_symlink() {
            if ![".git", "node_modules", "target"].contains(&name) {
                files(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            let path = path.strip_prefix(root()).unwrap();
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}

fn documents() -> Vec<String> {
    let mut found = Vec::new();
    files(root(), ".md", &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

fn is_command(text: &str) -> bool {
    PROGRAMS
        .iter()
        .filter_map(|program| text.strip_prefix(*program))
        .any(|rest| match text {
            _ if text.starts_with("sealgate") => rest.starts_with(" -") || rest.starts_with(" ["),
            _ if text.starts_with("tests/") => text.contains(' '),
            _ => rest.starts_with(' '),
        })
}

/// The simple commands in some lines of shell, without what is explained beside them.
fn simple(lines: &str) -> Vec<String> {
    let said = lines
        .lines()
        .map(|line| line.trim().split("  ").next().unwrap());
    let joined = said.map(|line| {
        let goes_on = ["|", "&&", "do"].iter().any(|end| line.ends_with(end));
        format!("{line}{}", if goes_on { " " } else { "\n" })
    });
    let joined: String = joined.collect();
    // What is quoted is another program's.
    let separators = [" && ", " || ", " | ", "; "];
    let divided = |part: &str| {
        separators
            .iter()
            .fold(part.to_owned(), |text, at| text.replace(at, "\n"))
    };
    let parts = joined.split('\'').enumerate();
    let parts = parts.map(|(at, part)| {
        if at % 2 == 0 {
            divided(part)
        } else {
            part.to_owned()
        }
    });
    let split = parts.collect::<Vec<_>>().join("'");
    let commands = split.lines().map(str::trim).filter(|line| !line.is_empty());
    commands.map(str::to_owned).collect()
}

/// All commands of a document: its blocks of shell, lines of other blocks, and code in its sentences.
fn commands(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in read(document).split("```").enumerate() {
        if at % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2);
            found.extend(spans.filter(|span| is_command(span)).flat_map(simple));
            continue;
        }
        let (language, lines) = part.split_once('\n').unwrap();
        assert!(
            !language.is_empty(),
            "{document}: a block does not say its language:\n{lines}"
        );
        if language == "sh" {
            found.extend(simple(lines));
        } else {
            found.extend(
                lines
                    .lines()
                    .filter(|line| is_command(line))
                    .flat_map(simple),
            );
        }
    }
    found
}

/// Those at the head of a deployment file.
fn commands_at_the_head(file: &str) -> Vec<String> {
    let text = read(file);
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    lines
        .filter(|line| is_command(line))
        .flat_map(simple)
        .collect()
}

fn flags(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect()
}

/// What the command says exists, or somebody runs it.
fn check(command: &str, help: &str) -> Result<(), String> {
    let is_before = |word: &&str| {
        let assigns = |(name, _): (&str, &str)| !name.contains(['/', '-']);
        *word == "do" || word.split_once('=').is_some_and(assigns)
    };
    let plain = command.replace("$(mktemp -d)", "/tmp/directory");
    let words = plain.split_whitespace().skip_while(is_before);
    // Neither a toolchain nor what another program is told.
    let words = words.take_while(|word| *word != "--");
    let words: Vec<&str> = words.filter(|word| !word.starts_with('+')).collect();
    let Some(program) = words.first() else {
        return Ok(());
    };
    let exists = |path: &str| {
        let is_there = root().join(path).exists();
        is_there.then_some(()).ok_or(format!("there is no {path}"))
    };
    let known = |known: &str| {
        let unknown: Vec<&str> = words[1..]
            .iter()
            .copied()
            .filter(|word| !known.contains(word))
            .collect();
        unknown
            .is_empty()
            .then_some(())
            .ok_or(format!("{program} knows no {unknown:?}"))
    };
    match words[..] {
        ["sealgate", ..] => {
            let unknown: Vec<&str> = flags(command).difference(&flags(help)).copied().collect();
            unknown
                .is_empty()
                .then_some(())
                .ok_or(format!("sealgate knows no {unknown:?}"))
        }
        ["cargo", "it", filter] | ["cargo", "test", "--test", "it", filter] => {
            exists(&format!("tests/it/{}.rs", filter.trim_end_matches("::")))
        }
        ["cargo", "test", "--lib", filter] => {
            exists(&format!("src/{}", filter.trim_end_matches("::")))
        }
        ["cargo", "test"] | ["cargo", "fuzz", "tmin", "<target>", "<file>"] => Ok(()),
        ["cargo", "fuzz", "run", target] => exists(&format!("fuzz/fuzz_targets/{target}.rs")),
        ["node", "--test", file] | ["node", file] => exists(&format!("tests/node/{file}")),
        ["cd", path] | ["git", "clean", "-f", path] => exists(path),
        ["tests/all", ..] => known(&read("tests/all")),
        ["tests/bench/compare/run", ..] => {
            let usage = read("tests/bench/compare/run");
            let lane = words.get(1).filter(|word| !word.starts_with('-'));
            let is_lane =
                lane.is_none_or(|lane| usage.contains(&format!("tests/bench/compare/run {lane} ")));
            let is_known = flags(command).is_subset(&flags(&usage));
            (is_lane && is_known)
                .then_some(())
                .ok_or("no such lane or option".to_owned())
        }
        [one] if one.contains('/') => exists(one),
        _ if PLAIN.contains(program) => Ok(()),
        _ => run_by(command),
    }
}

/// How a command begins, the file that runs it, and what that file says.
#[derive(serde::Deserialize)]
struct Rows {
    row: Vec<(String, String, String)>,
}

fn run_by(command: &str) -> Result<(), String> {
    let rows: Rows = toml::from_str(&read("tests/corpus/commands.toml")).unwrap();
    let fits = |(begins, ..): &&(String, String, String)| command.starts_with(begins.as_str());
    let Some((_, file, says)) = rows.row.iter().find(fits) else {
        return Err(
            "nobody runs it. Let a test run it, and name that test in tests/corpus/commands.toml"
                .to_owned(),
        );
    };
    let is_said = read(file).contains(says.as_str());
    is_said
        .then_some(())
        .ok_or(format!("{file} no longer says {says:?}"))
}

#[test]
fn every_command_in_a_document_is_run_or_can_be() {
    let help = Place::new().run(&["--help"]).stdout;
    let mut shown: Vec<(String, Vec<String>)> = Vec::new();
    for document in documents() {
        let commands = commands(&document);
        shown.push((document, commands));
    }
    for ending in [".yaml", ".service"] {
        let mut heads = Vec::new();
        files(&root().join("src/server/deploy"), ending, &mut heads);
        shown.extend(
            heads
                .into_iter()
                .map(|file| (file.clone(), commands_at_the_head(&file))),
        );
    }
    let mut faults = Vec::new();
    let mut count = 0;
    for (document, commands) in &shown {
        for command in commands {
            count += 1;
            if let Err(fault) = check(command, &help) {
                faults.push(format!("{document}: `{command}`: {fault}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(count > 90, "{count} commands");
}

#[test]
fn a_command_that_cannot_be_given_is_found() {
    let help = "--check --online";
    for wrong in [
        "sealgate --chekc",
        "cargo it no_such_file::",
        "cargo test --lib no_such_module::",
        "cargo fuzz run no_such_target",
        "tests/all no-such-step",
        "tests/bench/compare/run no-such-lane",
        "tests/bench/compare/run latency --no-such-option",
        "tests/no-such-file",
        "node --test no-such.test.mjs",
        "curl http://localhost:8080/bff/user",
    ] {
        assert!(check(wrong, help).is_err(), "{wrong}");
    }
    assert_eq!(
        check("sealgate --check --online -c sealgate.toml", help),
        Ok(())
    );
}

#[test]
fn what_is_called_a_metric_or_an_endpoint_is_one() {
    let telemetry = read("src/telemetry/README.md");
    let endpoints = read("src/frontend/endpoint.rs");
    let word = |c: char| !(c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '/' | '.'));
    for document in documents() {
        let text = read(&document);
        for token in text.split(word) {
            let token = token.trim_end_matches(['.', '/', '-']);
            if token.starts_with("sealgate_") {
                let name = token.trim_end_matches('_');
                let is_told = telemetry.contains(&format!("`{name}"));
                assert!(
                    is_told,
                    "{document}: {token} is not in the table of metrics"
                );
            }
            if let Some(path) = token.strip_prefix("/bff/") {
                let is_one = endpoints.contains(&format!("((\"{path}"));
                assert!(is_one, "{document}: there is no endpoint {token}");
            }
        }
    }
}
