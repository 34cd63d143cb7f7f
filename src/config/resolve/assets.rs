//! `frontend.<name>.assets`.

use super::{Noted, Resolver};
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
        let below = RequestPath::parse(&format!("/{fallback}")).is_ok();
        let fine = resolver.ensure(
            below && dir.join(fallback).is_file(),
            &fallback_at,
            &format!("there is no file {fallback:?} in {}", shown.escape_debug()),
            "name a file below dir, such as \"index.html\"",
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
