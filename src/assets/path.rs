//! Which file a path means, and what its name says about it.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::names::RequestPath;

/// The one name with a dot in front that is for everybody (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// The page of a directory.
const INDEX: &str = "index.html";

/// A file, by its path below the directory.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) file: PathBuf,
    /// Whether the path may be one of the app's own router: it is no well-known resource (RFC 8615).
    pub(super) may_fall_back: bool,
}

impl Wanted {
    /// `None`: no file can be meant.
    pub(super) fn of(path: RequestPath<'_>) -> Option<Self> {
        // To decode such a path once makes no separator and no dot segment (D11).
        let path = decode(path.as_str().strip_prefix('/')?)?;
        let may_fall_back = path.split('/').next() != Some(WELL_KNOWN);
        if is_hidden(path.split('/')) {
            return None;
        }
        let is_directory = path.is_empty() || path.ends_with('/');
        let mut file = PathBuf::from(path);
        if is_directory {
            file.push(INDEX);
        }
        Some(Self {
            file,
            may_fall_back,
        })
    }

    /// The page of this address, if there is no such file: generators of static pages write `orders.html` for `/orders`.
    pub(super) fn page(&self) -> Option<PathBuf> {
        let name = self.file.file_name()?.to_str()?;
        (name != INDEX).then(|| self.file.with_file_name(format!("{name}.html")))
    }
}

fn decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether one of the names on a path below the directory has a dot in front.
fn is_hidden<'s>(mut names: impl Iterator<Item = &'s str>) -> bool {
    let first = names.next().filter(|name| *name != WELL_KNOWN);
    first
        .into_iter()
        .chain(names)
        .any(|name| name.starts_with('.'))
}

/// The real path of a file below `root` (itself a real path), with every symbolic link followed. Blocks.
///
/// A link is no way to a dot-file either, and a name that is no text is no file of an app.
pub(super) fn inside(root: &Path, file: &Path) -> Option<PathBuf> {
    let path = root.join(file).canonicalize().ok()?;
    let below = path.strip_prefix(root).ok()?;
    let below = below.to_str()?;
    // Kubernetes mounts files as links into a directory named `..` and its date, which it exchanges as a whole.
    let below = match below.split_once('/') {
        Some((mounted, rest)) if mounted.starts_with("..") => rest,
        _ => below,
    };
    (!is_hidden(below.split('/')) && path.is_file()).then_some(path)
}

/// Directories below which a framework never changes a file: those of Next.js and of `SvelteKit`. Their names of files follow no rule.
const IMMUTABLE: [[&str; 2]; 2] = [["_next", "static"], ["_app", "immutable"]];

/// Whether what this path below the served directory names never changes, because the name would. A page keeps its name.
///
/// The path is the one that was asked for: a browser keeps the answer by it, whatever file a link leads to.
pub(super) fn is_immutable(asked: &Path) -> bool {
    let name = asked
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    let above = asked.parent().into_iter().flat_map(Path::components);
    let above: Vec<_> = above.map(Component::as_os_str).collect();
    let is_page = asked.extension().is_some_and(|end| end == "html");
    let is_below = || {
        let mut pairs = above.windows(2);
        pairs.any(|pair| IMMUTABLE.iter().any(|two| pair == two))
    };
    is_hashed(name) || (!is_page && is_below())
}

/// Whether a name carries a hash of its content, as bundlers write it: `app.3f9c2b1a.js`, `index-BdX9a1Qz.js`.
///
/// A wrong yes would keep an old file for a year, a wrong no costs a 304: so words, versions and dates are no.
fn is_hashed(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    if matches!(extension, "htm" | "html") {
        return false;
    }
    let is_part_hashed = |part: &str| {
        // Vite's eight characters may contain a '-' themselves.
        let tail = part.len().checked_sub(9).and_then(|at| part.get(at..));
        let tail = tail.and_then(|tail| tail.strip_prefix(['-', '_']));
        tail.is_some_and(is_hash)
            || part
                .rsplit('-')
                .next()
                .is_some_and(|last| last != part && is_hash(last))
    };
    let mut parts = stem.split('.');
    parts.next().is_some_and(is_part_hashed)
        || parts.any(|part| is_hash(part) || is_part_hashed(part))
}

/// Hexadecimal digits (webpack, Parcel, Next), or eight of base64url or base32 (Vite, esbuild).
fn is_hash(text: &str) -> bool {
    let all = |of: fn(&u8) -> bool| text.bytes().all(|b| of(&b));
    let is_hex = (8..=64).contains(&text.len()) && all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_base64 = text.len() == 8
        && all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && text.bytes().any(|b| b.is_ascii_uppercase());
    // Words carry their numbers at the end: `Version2`, `decade10`.
    let mut from_digit = text.bytes().skip_while(|b| !b.is_ascii_digit());
    let is_mixed = from_digit.any(|b| b.is_ascii_alphabetic());
    is_mixed && (is_hex || is_base64)
}

/// The media type of a file, with its charset where types have one (ASVS 4.1.1).
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |split| split.1);
    match extension.to_ascii_lowercase().as_str() {
        "aac" => "audio/aac",
        "avif" => "image/avif",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "ogg" => "audio/ogg",
        "otf" => "font/otf",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml; charset=utf-8",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webm" => "video/webm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "xml" => "application/xml; charset=utf-8",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Whether a coding makes a file of this media type smaller.
pub(super) fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || media_type.contains("json")
        || media_type.contains("xml")
        || matches!(media_type, "application/wasm" | "font/otf" | "font/ttf")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(raw: &str) -> Option<Wanted> {
        RequestPath::parse(raw).ok().and_then(Wanted::of)
    }

    #[test]
    fn a_name_is_hashed_only_if_it_looks_like_nothing_else() {
        for name in [
            "app.3f9c2b1a.js",
            "index-BdX9a1Qz.js",
            "index-Bd-9a1Qz.css",
            "HomeView-Di4rgTdw.js.map",
            "main.3f9c2b1a.chunk.js",
            "chunk-5QJ2KX7B.js",
            "logo.6ce24c58023cc2f8fd88.svg",
            "3.5d41402abc4b2a76b971.woff2",
        ] {
            assert!(is_hashed(name), "{name}");
        }
        for name in [
            "app.js",
            "index.html",
            "index-BdX9a1Qz.html",
            "polyfills.js",
            "main-polyfills.js",
            "bootstrap-5.3.0.min.css",
            "report-20240101.js",
            "report.2024-01-01.csv",
            "about-HomePageView.js",
            "facade.deadbeef.js",
            "guide-Version2.pdf",
            "img-IMG20240.jpg",
            "the-decade10.js",
            "chunk-Level2Boss.js",
            "3f9c2b1a",
            "3f9c2b1a.js",
            "a-3f9c.js",
            "es2015polyfill.js",
            "sw.js",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }

    #[test]
    fn frameworks_have_directories_of_files_that_never_change() {
        for (path, expect) in [
            ("_next/static/chunks/0d3k.js", true),
            ("shop/_app/immutable/entry/start.js", true),
            ("assets/index-BdX9a1Qz.js", true),
            ("_app/version.json", false),
            ("_next/data.json", false),
            ("_app/immutable/index.html", false),
            ("static/app.js", false),
            ("_next/static", false),
            ("_next/other/static/app.js", false),
        ] {
            assert_eq!(is_immutable(Path::new(path)), expect, "{path}");
        }
    }

    #[test]
    fn a_path_is_decoded_once() {
        let file = |raw| wanted(raw).map(|wanted| wanted.file);
        assert_eq!(file("/a%20b/c"), Some(PathBuf::from("a b/c")));
        assert_eq!(file("/%C3%BC.txt"), Some(PathBuf::from("ü.txt")));
        assert_eq!(file("/a/"), Some(PathBuf::from("a/index.html")));
        for raw in [
            "/%252e%252e/x",
            "/%ff",
            "/%0a",
            "x",
            "",
            "/a/../b",
            "/.x",
            "/a/.x/b",
        ] {
            assert_eq!(file(raw), None, "{raw}");
        }
    }

    #[test]
    fn an_address_without_an_extension_may_be_a_page() {
        let page = |raw| wanted(raw).and_then(|wanted| wanted.page());
        assert_eq!(page("/orders"), Some(PathBuf::from("orders.html")));
        assert_eq!(page("/a%20b/c.d"), Some(PathBuf::from("a b/c.d.html")));
        assert_eq!(page("/"), None);
        assert_eq!(page("/orders/"), None);
    }

    #[test]
    fn types_of_text_name_their_charset() {
        // F11
        for (name, expect) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.b.JS", "text/javascript; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("noext", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expect, "{name}");
        }
    }
}
