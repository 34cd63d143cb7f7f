//! `frontend.<name>.assets`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};

use super::resolver::{Noted, Resolver};
use crate::config::key_path::KeyPath;
use crate::config::settings;
use crate::frontend::AssetsSettings;
use crate::names::RequestPath;

/// The app's files, if sealgate serves them.
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
        "build the app first, or name the directory that has its files",
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
            "name a file below dir, such as \"index.html\"; sealgate never serves dot-files",
        );
        if !fine {
            return Err(Noted);
        }
    }
    let headers = headers(resolver, &at.child("headers"), assets.headers.as_ref())?;
    Ok(Some(AssetsSettings {
        dir,
        fallback: assets.fallback.clone(),
        headers,
    }))
}

/// Headers that describe the bytes of an answer, or belong to the connection: a wrong one breaks the answer.
const OURS: [&str; 18] = [
    "accept-ranges",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "x-request-id",
];

/// Headers in place of the default ones.
fn headers(
    resolver: &mut Resolver<'_>,
    at: &KeyPath,
    written: Option<&BTreeMap<String, String>>,
) -> Result<Vec<(String, String)>, Noted> {
    let mut headers = Vec::new();
    let mut is_fine = true;
    for (name, text) in written.into_iter().flatten() {
        let at = at.child(name);
        let parsed = HeaderName::try_from(name.as_str());
        let value = HeaderValue::from_str(text);
        let (Ok(parsed), Ok(_)) = (parsed, value) else {
            resolver.wrong(
                &at,
                "not a header",
                "write a header's name, and a value on one line",
            );
            is_fine = false;
            continue;
        };
        let is_hsts = parsed == "strict-transport-security";
        if is_hsts || OURS.contains(&parsed.as_str()) {
            let remedy = if is_hsts {
                "write it into the frontend's hsts"
            } else {
                "leave it to sealgate, which knows what it sends"
            };
            resolver.wrong(&at, "this header cannot be replaced", remedy);
            is_fine = false;
            continue;
        }
        headers.push((parsed.as_str().to_owned(), text.clone()));
    }
    if is_fine { Ok(headers) } else { Err(Noted) }
}

/// Refuses a directory of public files that contains a private file, or that lies in a private directory.
///
/// The comparison follows every symbolic link, as `assets` does.
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
                "contains"
            } else if served.starts_with(&path) {
                "lies in"
            } else {
                continue;
            };
            let shown = path.display().to_string();
            resolver.wrong(
                &at,
                format!(
                    "the directory {how} {what} ({}), and sealgate would serve that to everybody",
                    shown.escape_debug()
                ),
                "move the app's files to a directory of their own",
            );
        }
    }
}

/// The path with every symbolic link followed, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find_map(|there| {
            let real = there.canonicalize().ok()?;
            let rest = absolute.strip_prefix(there).ok()?;
            // Joining an empty path would add a slash.
            Some(if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            })
        })
        .unwrap_or(absolute)
}
