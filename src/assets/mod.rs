//! The app's files, below one directory.
//!
//! `server::pipeline` calls [`serve`] for what is neither endpoint nor API route; no cookie has been opened then.
//!
//! - `path`: which file a path means · `remembered`: files that were served lately · `file`: a file and its forms
//! - `coding`: which form the client takes · `range`: which part of it · `policy`: what a page may load
//!
//! # Invariants
//! - Nothing outside the directory is served, whatever a path or a symbolic link says; nor dot-files, nor listings.
//! - A path without a file of its name may be a page: `/orders` is `orders.html`, as generators of static pages write it.
//! - The fallback answers navigations only: a script, an image, a probe or a mistyped API call gets 404. It is a public file
//!   like any other, so a cache that keeps it for `/account/x.css` gives nothing away (web cache deception).
//! - Only names that carry a hash of their content are kept without asking again.
//!
//! # Spec
//! RFC 9110 §8.8 (validators), §12.5.3 (codings), §13.1 (conditions), §14 (ranges); RFC 8246 (`immutable`); CSP Level 3.

mod coding;
mod file;
mod path;
mod policy;
mod range;
mod remembered;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody as _, SizedStream};
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, EntityTag, HeaderMap, HeaderName, HeaderValue, IfModifiedSince,
    IfNoneMatch, LAST_MODIFIED, REFERRER_POLICY, TryIntoHeaderValue as _, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::Mutex;

use crate::frontend::AssetsSettings;
use crate::guard::is_navigation;
use crate::problem::Problem;

use coding::{Accepted, Coding};
use file::Entry;
use path::Wanted;
use range::Part;
use remembered::Known;

/// On every file: who may frame it, what it tells others (F10, F11).
const SECURITY: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "browsing-topics=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// The turn to code a file: each takes up to a second of a thread, and anybody may ask.
static CODING: Mutex<()> = Mutex::const_new(());

/// Serves one path of the app by `GET` and `HEAD`; `Frontend::resolve` lets no other method through.
///
/// `framed` are the origins that a page may frame beside its own: a silent login leads through the identity provider.
pub async fn serve(
    request: &HttpRequest,
    assets: &AssetsSettings,
    framed: &[String],
) -> Result<HttpResponse, Problem> {
    let wanted = Wanted::parse(request.uri().path()).ok_or(Problem::NotFound)?;
    let may_fall_back = wanted.may_fall_back && is_navigation(request.headers());
    let fallback = assets.fallback.as_deref().filter(|_| may_fall_back);
    let (entry, is_fallback) = find(&assets.dir, wanted, fallback).await?;
    let selected = select(request, &entry).await?;
    let mut response = answer(request, &entry, &selected).await?;
    let headers = response.headers_mut();
    describe(headers, &entry, selected.tag);
    let vary: &[&str] = match (is_fallback, entry.varies()) {
        (true, true) => &["Accept, Sec-Fetch-Mode, Accept-Encoding"],
        (true, false) => &["Accept, Sec-Fetch-Mode"],
        (false, true) => &["Accept-Encoding"],
        (false, false) => &[],
    };
    for names in vary {
        headers.insert(VARY, HeaderValue::from_static(names));
    }
    if let Ok(policy) = HeaderValue::try_from(policy::policy(&entry.scripts, framed)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    replace(headers, &assets.headers);
    Ok(response)
}

/// Puts the configured headers in place of those that a file has.
fn replace(headers: &mut HeaderMap, by: &[(String, String)]) {
    for (name, value) in by {
        let name = HeaderName::try_from(name.as_str());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
            continue;
        };
        if value.is_empty() {
            headers.remove(name);
        } else {
            headers.insert(name, value);
        }
    }
}

/// The file that is wanted, else the fallback, and whether it is that.
async fn find(
    dir: &Path,
    wanted: Wanted,
    fallback: Option<&str>,
) -> Result<(Arc<Entry>, bool), Problem> {
    let looked = names(&wanted, fallback).find_map(|(name, is_fallback)| {
        match remembered::look(&dir.join(name)) {
            Known::File(entry) => Some(Some((entry, is_fallback))),
            Known::Nothing => None,
            Known::Unknown => Some(None),
        }
    });
    if let Some(found) = looked.ok_or(Problem::NotFound)? {
        return Ok(found);
    }
    let (dir, fallback) = (dir.to_owned(), fallback.map(str::to_owned));
    let found = web::block(move || load(&dir, &wanted, fallback.as_deref())).await;
    found.map_err(|_| Problem::Internal)?
}

/// What a path may mean, by names below the directory, and whether a name is the fallback's.
fn names<'n>(
    wanted: &'n Wanted,
    fallback: Option<&'n str>,
) -> impl Iterator<Item = (Cow<'n, Path>, bool)> {
    let page = iter::once_with(|| wanted.page()).flatten();
    let own = iter::once(Cow::Borrowed(&*wanted.file)).chain(page.map(Cow::Owned));
    let fallback = fallback.map(|name| (Cow::Borrowed(Path::new(name)), true));
    own.map(|name| (name, false)).chain(fallback)
}

/// The same as [`find`] with all that has to be looked at. Blocks.
fn load(
    dir: &Path,
    wanted: &Wanted,
    fallback: Option<&str>,
) -> Result<(Arc<Entry>, bool), Problem> {
    let root = dir.canonicalize().map_err(|error| {
        log::error!("assets.dir {} cannot be read: {error}", dir.display());
        Problem::Internal
    })?;
    let mut found = names(wanted, fallback)
        .filter_map(|(name, is_fallback)| Some((path::inside(&root, &name)?, name, is_fallback)));
    let (path, name, is_fallback) = found.next().ok_or(Problem::NotFound)?;
    let shown = path.display().to_string();
    let is_inside = |path: &Path| path::inside(&root, path).is_some();
    let entry = Entry::load(path, &name, is_inside, remembered::seconds()).map_err(|error| {
        log::warn!("the file {shown} cannot be read: {error}");
        Problem::NotFound
    })?;
    let entry = Arc::new(entry);
    remembered::remember(dir.join(name), &entry);
    Ok((entry, is_fallback))
}

/// Which form of a file, and which part of it, answers a request.
struct Selected {
    coding: Option<Coding>,
    tag: EntityTag,
    part: Part,
}

async fn select(request: &HttpRequest, entry: &Arc<Entry>) -> Result<Selected, Problem> {
    let bare = EntityTag::new_strong(entry.tag(None));
    // Parts are parts of the bare file: who asks for one has no use for a coding of it.
    let part = range::wanted(request, entry, &bare);
    if part != Part::Whole || !entry.varies() {
        return Ok(Selected {
            coding: None,
            tag: bare,
            part,
        });
    }
    for coding in Accepted::of(request.headers()).best() {
        if has(entry, coding).await? {
            let tag = EntityTag::new_strong(entry.tag(Some(coding)));
            return Ok(Selected {
                coding: Some(coding),
                tag,
                part,
            });
        }
    }
    Ok(Selected {
        coding: None,
        tag: bare,
        part,
    })
}

/// Whether a file comes in this coding. It is coded here, once, if nobody has done it before.
async fn has(entry: &Arc<Entry>, coding: Coding) -> Result<bool, Problem> {
    if entry.form_beside(coding).is_some() {
        return Ok(true);
    }
    if !entry.is_worth_coding {
        return Ok(false);
    }
    if entry.coded(coding).is_none() {
        // One at a time in this process. Whoever does not get the turn is served the bare file.
        let Ok(turn) = CODING.try_lock() else {
            return Ok(false);
        };
        let coded = Arc::clone(entry);
        let done = web::block(move || coded.code(coding)).await;
        drop(turn);
        match done.map_err(|_| Problem::Internal)? {
            Ok(held) => remembered::holds_more(held),
            Err(error) => {
                log::warn!("the file {} cannot be compressed: {error}", entry.name);
                return Ok(false);
            }
        }
    }
    Ok(entry.coded(coding).is_some_and(Option::is_some))
}

async fn answer(
    request: &HttpRequest,
    entry: &Entry,
    selected: &Selected,
) -> Result<HttpResponse, Problem> {
    if is_known(request, entry, &selected.tag) {
        return Ok(HttpResponse::NotModified().finish());
    }
    let (from, len) = match selected.part {
        Part::Unsatisfiable => {
            let mut response = HttpResponse::new(StatusCode::RANGE_NOT_SATISFIABLE);
            let range = HeaderValue::try_from(format!("bytes */{}", entry.bare.len));
            if let Ok(range) = range {
                response.headers_mut().insert(CONTENT_RANGE, range);
            }
            return Ok(response);
        }
        Part::Whole => (0, None),
        Part::Range { first, last } => (first, Some(last - first + 1)),
    };
    let is_head = *request.method() == Method::HEAD;
    let body = body(entry, selected.coding, (from, len), is_head).await?;
    let mut response = HttpResponse::new(StatusCode::OK).set_body(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(entry.media_type));
    if let Some(coding) = selected.coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    if let Part::Range { first, last } = selected.part {
        let range = HeaderValue::try_from(format!("bytes {first}-{last}/{}", entry.bare.len));
        if let Ok(range) = range {
            headers.insert(CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Whether the client has this form already (RFC 9110 §13.2.2): a date counts only without a tag.
fn is_known(request: &HttpRequest, entry: &Entry, tag: &EntityTag) -> bool {
    match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        None => {
            let since = request.get_header::<IfModifiedSince>();
            let since = since.map(|IfModifiedSince(date)| date);
            since
                .zip(entry.modified_at)
                .is_some_and(|(since, modified)| modified <= since)
        }
    }
}

/// What every answer with this file says of it, a 304 too.
fn describe(headers: &mut HeaderMap, entry: &Entry, tag: EntityTag) {
    if let Ok(tag) = tag.try_into_value() {
        headers.insert(ETAG, tag);
    }
    if let Some(modified) = &entry.last_modified {
        headers.insert(LAST_MODIFIED, modified.clone());
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let control = if entry.is_immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
}

/// The bytes of a form from one on, `len` of them or all.
async fn body(
    entry: &Entry,
    coding: Option<Coding>,
    (from, len): (u64, Option<u64>),
    is_head: bool,
) -> Result<BoxBody, Problem> {
    let form = match coding {
        None => Some(&entry.bare),
        Some(coding) => entry.form_beside(coding),
    };
    let Some(form) = form else {
        let coded = coding.and_then(|coding| entry.coded(coding)?.clone());
        return Ok(whole(coded.ok_or(Problem::Internal)?, is_head));
    };
    let len = len.unwrap_or(form.len);
    if let Some(kept) = &form.kept {
        let end = from.saturating_add(len);
        let bounds = usize::try_from(from).ok().zip(usize::try_from(end).ok());
        let (from, end) = bounds.ok_or(Problem::Internal)?;
        return Ok(whole(
            kept.slice(from.min(kept.len())..end.min(kept.len())),
            is_head,
        ));
    }
    if is_head {
        return Ok(of_length(len));
    }
    let opened = form.opener(from);
    let file = web::block(opened).await.map_err(|_| Problem::Internal)?;
    let file = file.map_err(|error| {
        log::warn!("the file {} cannot be read: {error}", entry.name);
        Problem::NotFound
    })?;
    Ok(SizedStream::new(len, file::stream(file, len)).boxed())
}

fn whole(bytes: Bytes, is_head: bool) -> BoxBody {
    if is_head {
        return of_length(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
    bytes.boxed()
}

/// The body of an answer to `HEAD`.
fn of_length(len: u64) -> BoxBody {
    SizedStream::new(len, stream::empty::<Result<Bytes, std::io::Error>>()).boxed()
}
