//! The app's files, below one directory.
//!
//! `server::pipeline` calls [`serve`] for what is neither endpoint nor API route; no cookie has been opened then.
//!
//! - `path`: which file a path means · `remembered`: files that were served lately · `file`: a file and its forms
//! - `coding`: which form the client takes · `range`: which part of it · `policy`: what a page may load · `headers`: the rest
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
mod headers;
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

use actix_web::body::{self, MessageBody as _, SizedStream};
use actix_web::web;
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE,
    VARY,
};
use http::{Method, StatusCode};
use tokio::sync::Mutex;

use crate::frontend::AssetsSettings;
use crate::guard::is_navigation;
use crate::message::{Answer, BoxBody, Request, names_tag};
use crate::names::RequestPath;
use crate::problem::Problem;

use coding::{Accepted, Coding};
use file::Entry;
use path::Wanted;
use range::Part;
use remembered::Known;

/// The turn to code a file: each takes up to a second of a thread, and anybody may ask.
static CODING: Mutex<()> = Mutex::const_new(());

/// Serves a `path` of the app by `GET` and `HEAD`; `Frontend::resolve` lets no other method through.
///
/// `framed` are the origins that a page may frame beside its own: a silent login leads through the identity provider.
pub async fn serve(
    request: &Request,
    path: RequestPath<'_>,
    assets: &AssetsSettings,
    framed: &[String],
) -> Result<Answer, Problem> {
    let wanted = Wanted::of(path).ok_or(Problem::NotFound)?;
    let may_fall_back = wanted.may_fall_back && is_navigation(request.headers());
    let fallback = assets.fallback.as_deref().filter(|_| may_fall_back);
    let (entry, is_fallback) = find(&assets.dir, wanted, fallback).await?;
    let selected = select(request, &entry).await?;
    let headers = entry.headers.framing(framed);
    let mut answer = answer(request, &entry, selected, headers).await?;
    let headers = answer.headers_mut();
    if is_fallback {
        let names = if entry.varies() {
            "Accept, Sec-Fetch-Mode, Accept-Encoding"
        } else {
            "Accept, Sec-Fetch-Mode"
        };
        headers.insert(VARY, HeaderValue::from_static(names));
    }
    headers::replace(headers, &assets.headers);
    Ok(answer)
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
        log::error!(code = Problem::Internal.code(); "assets.dir {} cannot be read: {error}", dir.display());
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
    tag: HeaderValue,
    part: Part,
}

async fn select(request: &Request, entry: &Arc<Entry>) -> Result<Selected, Problem> {
    // Parts are parts of the bare file: who asks for one has no use for a coding of it.
    let part = range::wanted(request, entry);
    let mut selected = Selected {
        coding: None,
        tag: entry.tag(None),
        part,
    };
    if part != Part::Whole || !entry.varies() {
        return Ok(selected);
    }
    for coding in Accepted::of(request.headers()).best() {
        if has(entry, coding).await? {
            selected.tag = entry.tag(Some(coding));
            selected.coding = Some(coding);
            break;
        }
    }
    Ok(selected)
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
    request: &Request,
    entry: &Entry,
    selected: Selected,
    mut headers: HeaderMap,
) -> Result<Answer, Problem> {
    let is_known = is_known(request, entry, &selected.tag);
    if selected.coding.is_some() {
        headers.insert(ETAG, selected.tag);
    }
    if is_known {
        return Ok(empty(StatusCode::NOT_MODIFIED, headers));
    }
    let (from, len) = match selected.part {
        Part::Unsatisfiable => {
            let range = HeaderValue::try_from(format!("bytes */{}", entry.bare.len));
            if let Ok(range) = range {
                headers.insert(CONTENT_RANGE, range);
            }
            return Ok(empty(StatusCode::RANGE_NOT_SATISFIABLE, headers));
        }
        Part::Whole => (0, None),
        Part::Range { first, last } => (first, Some(last - first + 1)),
    };
    let is_head = *request.method() == Method::HEAD;
    let body = bytes(entry, selected.coding, (from, len), is_head).await?;
    let mut answer = Answer::new(body);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(entry.media_type));
    if let Some(coding) = selected.coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    if let Part::Range { first, last } = selected.part {
        let range = HeaderValue::try_from(format!("bytes {first}-{last}/{}", entry.bare.len));
        if let Ok(range) = range {
            headers.insert(CONTENT_RANGE, range);
        }
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn empty(status: StatusCode, headers: HeaderMap) -> Answer {
    let mut answer = Answer::new(BoxBody::new(body::None::new()));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Whether the client has this form already (RFC 9110 §13.2.2): a date counts only without a tag.
fn is_known(request: &Request, entry: &Entry, tag: &HeaderValue) -> bool {
    let headers = request.headers();
    let known = names_tag(headers, tag.to_str().unwrap_or_default());
    known.unwrap_or_else(|| {
        let since = headers.get(IF_MODIFIED_SINCE).and_then(range::date);
        since
            .zip(entry.modified_at)
            .is_some_and(|(since, modified)| modified <= since)
    })
}

/// The bytes of a form from one on, `len` of them or all.
async fn bytes(
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
