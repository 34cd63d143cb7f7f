//! Every link between the documents leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Directories that are not part of the project.
const FOREIGN: [&str; 3] = [".git", "node_modules", "target"];

/// A document without its code, in which brackets mean something else.
struct Document {
    path: PathBuf,
    prose: String,
}

impl Document {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let mut prose = String::new();
        let mut in_fence = false;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                in_fence = !in_fence;
            } else if !in_fence {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        assert!(!in_fence, "{} has a fence without end", path.display());
        Self { path, prose }
    }

    /// The prose without `code` in its lines.
    fn words(&self) -> String {
        self.prose.split('`').step_by(2).collect()
    }

    /// The names of its headings in links, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = BTreeSet::new();
        for line in self.prose.lines() {
            let heading = line.trim_start_matches('#');
            if heading.len() == line.len() || !heading.starts_with(' ') {
                continue;
            }
            let anchor: String = heading
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = seen.entry(anchor.clone()).or_default();
            anchors.insert(match *count {
                0 => anchor,
                n => format!("{anchor}-{n}"),
            });
            *count += 1;
        }
        anchors
    }

    /// `[name]: target` lines.
    fn definitions(&self) -> BTreeMap<&str, &str> {
        let lines = self.prose.lines();
        lines
            .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
            .collect()
    }

    /// Where its links lead.
    fn targets(&self) -> Vec<String> {
        let words = self.words();
        let inline = words
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap().to_owned());
        let defined = self.definitions().into_values().map(str::to_owned);
        inline.chain(defined).collect()
    }

    /// Names that are used as `[text][name]` or `[RFC 1234]`.
    fn names(&self) -> BTreeSet<String> {
        let words = self.words();
        let full = words.split("][").skip(1);
        let full = full.map(|rest| rest.split(']').next().unwrap());
        let short = words.split('[').skip(1).filter_map(|rest| {
            let (name, behind) = rest.split_once(']')?;
            let is_short = name.starts_with("RFC ") && !behind.starts_with(['(', '[']);
            is_short.then_some(name)
        });
        full.chain(short).map(str::to_owned).collect()
    }
}

fn collect(dir: &Path, documents: &mut Vec<Document>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            if !FOREIGN.iter().any(|foreign| name == *foreign) {
                collect(&path, documents);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(Document::read(path));
        }
    }
}

fn documents() -> Vec<Document> {
    let mut documents = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), &mut documents);
    documents
}

#[test]
fn every_relative_link_leads_to_a_file_and_its_heading() {
    let mut followed = 0;
    let mut broken = Vec::new();
    for document in documents() {
        for target in document.targets() {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => document.path.clone(),
                file => document.path.parent().unwrap().join(file),
            };
            let leads = path.exists()
                && (anchor.is_empty() || Document::read(path).anchors().contains(anchor));
            if !leads {
                broken.push(format!("{}: {target}", document.path.display()));
            }
            followed += 1;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 30, "{followed} links");
}

#[test]
fn every_name_of_a_link_is_defined_and_every_definition_is_used() {
    for document in documents() {
        let defined: BTreeSet<String> = document
            .definitions()
            .into_keys()
            .map(str::to_owned)
            .collect();
        assert_eq!(document.names(), defined, "{}", document.path.display());
    }
}

#[test]
fn headings_have_the_names_that_github_gives_them() {
    let document = Document {
        path: PathBuf::new(),
        prose: "# What `it` does, and why: A-B_c\n## Same\n## Same\n#hashtag\n".to_owned(),
    };
    let expect = ["same", "same-1", "what-it-does-and-why-a-b_c"].map(str::to_owned);
    assert_eq!(document.anchors(), BTreeSet::from(expect));
}
