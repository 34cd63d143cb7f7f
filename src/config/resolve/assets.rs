//! `frontend.<name>.assets`.

use std::path::{Path, PathBuf};

use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::AssetsSettings;
use crate::names::RequestPath;

/// The app's files, if there are any.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    frontend: &settings::Frontend,
) -> Result<Option<AssetsSettings>, Noted> {
    let Some(assets) = &frontend.assets else {
        return Ok(None);
    };
    let dir_at = at.child("dir");
    let text = resolver.required(
        &dir_at,
        assets.dir.as_ref(),
        "name the directory of the app's files",
    );
    let text = text.ok_or(Noted)?;
    let dir = resolver.path(&dir_at, text);
    let shown = dir.display().to_string();
    if !resolver.ensure(
        dir.is_dir(),
        &dir_at,
        &format!("there is no directory {}", shown.escape_debug()),
        "build the app first, or name the directory its files are in",
    ) {
        return Err(Noted);
    }
    let fallback_at = at.child("fallback");
    if let Some(fallback) = &assets.fallback {
        let below = RequestPath::parse(&format!("/{fallback}")).is_ok()
            && !fallback.split('/').any(|segment| segment.starts_with('.'));
        let fine = resolver.ensure(
            below && dir.join(fallback).is_file(),
            &fallback_at,
            &format!("there is no file {fallback:?} in {}", shown.escape_debug()),
            "name a file below dir, such as \"index.html\"; dot-files are never served",
        );
        if !fine {
            return Err(Noted);
        }
    }
    Ok(Some(AssetsSettings {
        dir,
        fallback: assets.fallback.clone(),
    }))
}

/// Refuses directories of files for everybody in which there is something that nobody may have, or the other way round.
///
/// Compared are real paths, with every symbolic link followed, as `assets` follows them.
pub(super) fn keep_apart(resolver: &mut Resolver<'_>) {
    let written = resolver.written;
    let mut private = std::mem::take(&mut resolver.private);
    private.extend(
        written
            .files()
            .map(|file| ("the configuration".to_owned(), file.to_owned())),
    );
    for (name, frontend) in &written.settings.frontend {
        let Some(dir) = frontend
            .assets
            .as_ref()
            .and_then(|assets| assets.dir.as_ref())
        else {
            continue;
        };
        let at = KeyPath::of(["frontend", name, "assets", "dir"]);
        let served = real(&resolver.path(&at, dir));
        for (what, path) in &private {
            let path = real(path);
            let how = if path.starts_with(&served) {
                "has"
            } else if served.starts_with(&path) {
                "is in"
            } else {
                continue;
            };
            let shown = path.display().to_string();
            resolver.wrong(
                &at,
                format!(
                    "the directory {how} {what} ({}), and everybody may read what is in it",
                    shown.escape_debug()
                ),
                "give the app's files a directory with nothing else in it",
            );
        }
    }
}

/// The path with every symbolic link followed, as far as there is something.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find_map(|there| {
            let real = there.canonicalize().ok()?;
            let rest = absolute.strip_prefix(there).ok()?;
            // An empty rest would put a slash at the end.
            Some(if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            })
        })
        .unwrap_or(absolute)
}
