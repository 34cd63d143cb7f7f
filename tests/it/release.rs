//! What a release is made from fits together.

use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = fs::read_to_string(root().join("src/server/deploy/helm/Chart.yaml")).unwrap();
    for key in ["version", "appVersion"] {
        let line = format!("{key}: {}", env!("CARGO_PKG_VERSION"));
        assert!(chart.lines().any(|found| found == line), "{line}\n{chart}");
    }
}

#[test]
fn the_changelog_has_a_section_for_the_version_or_for_what_comes() {
    let changelog = fs::read_to_string(root().join(".github/CHANGELOG.md")).unwrap();
    let version = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    let has = |heading: &str| changelog.lines().any(|line| line.starts_with(heading));
    assert!(has(&version) || has("## [Unreleased]"), "{version}");
}

#[test]
fn notes_are_the_section_of_the_changelog_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("release-notes");
    fs::copy(root().join(".github/release-notes"), &script).unwrap();
    let changelog = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.0] - 2026-12-24\n\n### Added\n\n- this\n\n\
                     ## [1.1.0] - 2026-11-01\n\n- before\n\n[1.2.0]: https://example.com\n";
    fs::write(dir.path().join("CHANGELOG.md"), changelog).unwrap();
    let notes = |version: &str| Command::new(&script).arg(version).output().unwrap();

    let found = notes("1.2.0");
    let text = String::from_utf8(found.stdout).unwrap();
    assert_eq!(text.trim(), "### Added\n\n- this");
    let last = String::from_utf8(notes("1.1.0").stdout).unwrap();
    assert_eq!(last.trim(), "- before");
    // Neither another version nor the beginning of one.
    for missing in ["1.2", "1.3.0", "2"] {
        let refused = notes(missing);
        assert_eq!(refused.status.code(), Some(1), "{missing}");
        assert!(refused.stdout.is_empty(), "{missing}");
    }
}

#[test]
fn the_image_is_built_without_what_the_deployment_files_commands_leave_beside_them() {
    // Those make a key ring and write secrets in that directory. The last pattern that matches counts.
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let last = |path: &str| {
        let mut matching = ignored.lines().filter(|line| {
            let pattern = line.strip_prefix('!').unwrap_or(line);
            pattern == "*" || Path::new(path).starts_with(pattern)
        });
        matching.next_back().unwrap_or_default().to_owned()
    };
    assert_eq!(last("src/keyring/mod.rs"), "!src");
    for path in [
        "keys/k.toml",
        "src/server/deploy/kubernetes/ring/k.toml",
        "src/server/deploy/etc/shop.secret",
    ] {
        let line = last(path);
        assert!(!line.is_empty() && !line.starts_with('!'), "{path}: {line}");
    }
}
