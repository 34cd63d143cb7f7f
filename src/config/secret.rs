//! Reads the secret that a reference, `{ file = … }` or `{ env = … }`, names.
//!
//! # Invariants
//! - There is no third form: a configuration never holds the secret itself.
//! - An error names the place, and never shows what stands there.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::variable::Environment;

/// What a secret looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One line, which goes into a request.
    Line,
    /// Keys in PEM.
    Pem,
}

impl Form {
    /// A longer line would not fit into a request's header. A key takes up to four kibibytes.
    const fn max_len(self) -> usize {
        match self {
            Self::Line => 4 << 10,
            Self::Pem => 64 << 10,
        }
    }
}

/// Why a secret cannot be used: what is wrong, and a remedy.
pub(super) type Unusable = (String, String);

/// The text of a secret, and a warning if others can read its file.
pub(super) type Secret = (Zeroizing<String>, Option<String>);

/// Reads a secret from a file.
pub(super) fn read_file(path: &Path, form: Form) -> Result<Secret, Unusable> {
    let shown = path.display().to_string().escape_debug().to_string();
    let unreadable = |error: std::io::Error| {
        let remedy = if error.kind() == std::io::ErrorKind::IsADirectory {
            "name the file in it that has the secret"
        } else {
            "create it with the secret in it, readable by the user that sealgate runs as"
        };
        (
            format!("the file {shown} cannot be read: {error}"),
            remedy.to_owned(),
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let warning = check_mode(&file, &shown)?;
    // One allocation of the full size: a vector that grows leaves a copy of the secret behind.
    let most = form.max_len().saturating_add(3);
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let place = format!("the file {shown}");
    let text = parse(&bytes, &place, form)?;
    let doubt = doubt(&text, form).map(|doubt| format!("{place} {doubt}"));
    Ok((
        text,
        warning
            .into_iter()
            .chain(doubt)
            .reduce(|a, b| a + "; " + &b),
    ))
}

/// Reads a secret from a variable.
pub(super) fn read_variable(name: &str, env: &Environment, form: Form) -> Result<Secret, Unusable> {
    let shown = name.escape_debug();
    let value: &OsString = env.get(name).ok_or_else(|| {
        let remedy = match name.strip_prefix('$') {
            Some(bare) => format!(
                "write the variable's name alone, {:?}",
                bare.trim_matches(['{', '}'])
            ),
            None => format!("set {shown} to the secret, or use {{ file = \"…\" }}"),
        };
        (
            format!("the environment variable {shown} is not set"),
            remedy,
        )
    })?;
    let place = format!("the environment variable {shown}");
    let text = parse(value.as_encoded_bytes(), &place, form)?;
    let doubt = doubt(&text, form).map(|doubt| format!("{place} {doubt}"));
    Ok((text, doubt))
}

/// What a secret has around it that is probably not meant. It counts all the same: who made the secret may have meant it.
fn doubt(text: &str, form: Form) -> Option<&'static str> {
    let stands_between = |mark: char| {
        let rest = text.strip_prefix(mark);
        rest.is_some_and(|rest| rest.ends_with(mark))
    };
    let is_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let (name, value) = text.split_once('=').unwrap_or_default();
    if form != Form::Line {
        None
    } else if stands_between('"') || stands_between('\'') {
        Some("has quotes around the secret, which count as a part of it: leave them out")
    } else if text.starts_with(' ') || text.ends_with(' ') {
        Some("has a space before or after the secret, which counts as a part of it: leave it out")
    } else if name.contains('_') && name.chars().all(is_of_name) && !value.is_empty() {
        Some(
            "begins with a variable's name, which counts as a part of the secret: leave only the value",
        )
    } else {
        None
    }
}

fn parse(bytes: &[u8], place: &str, form: Form) -> Result<Zeroizing<String>, Unusable> {
    let wrong = |what: &str, remedy: &str| Err((format!("{place} {what}"), remedy.to_owned()));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return wrong("holds a secret that is not UTF-8", "write it as text");
    };
    // Editors and `echo` put a newline at the end, and those of Windows a byte order mark before all.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return wrong("is empty", "put the secret into it");
    }
    if text.len() > form.max_len() {
        return wrong(
            &format!("is longer than {} bytes", form.max_len()),
            "name a file or variable that holds only the secret",
        );
    }
    if form == Form::Line && text.chars().any(char::is_control) {
        return wrong(
            "holds control characters or several lines",
            "put the secret on one line, and nothing else",
        );
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Whoever can write the file can replace the client's secret, so that is an error. A file that others can read is only a
/// warning: Kubernetes and Docker mount secrets readable for everybody by default.
#[cfg(unix)]
fn check_mode(file: &File, shown: &str) -> Result<Option<String>, Unusable> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata().map_err(|error| {
        (
            format!("the file {shown} cannot be examined: {error}"),
            "make it a regular file".to_owned(),
        )
    })?;
    let mode = metadata.permissions().mode();
    if metadata.is_file() && mode & 0o002 != 0 {
        return Err((
            format!("every user can write the file {shown}"),
            format!("chmod 600 {shown}"),
        ));
    }
    let open = metadata.is_file() && mode & 0o004 != 0;
    Ok(open.then(|| format!("every user can read the file {shown}; chmod 600 is better")))
}

#[cfg(not(unix))]
fn check_mode(_file: &File, _shown: &str) -> Result<Option<String>, Unusable> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_of_text_within_bounds() {
        for (bytes, expect) in [
            (&b"s3cret"[..], Some("s3cret")),
            (b"s3cret\n", Some("s3cret")),
            (b"s3cret\r\n", Some("s3cret")),
            (b"\xef\xbb\xbfs3cret\r\n", Some("s3cret")),
            (b"\xef\xbb\xbf", None),
            (b" a b ", Some(" a b ")),
            (b"", None),
            (b"\n", None),
            (b"a\nb", None),
            (b"a\0b", None),
            (b"a\x1bb", None),
            (b"\xff\xfe", None),
            (&[b'x'; 4097], None),
        ] {
            let parsed = parse(bytes, "here", Form::Line).ok();
            assert_eq!(parsed.as_deref().map(String::as_str), expect, "{bytes:?}");
        }
        assert!(parse(&[b'x'; 4096], "here", Form::Line).is_ok());
    }

    #[test]
    #[cfg(unix)]
    fn a_file_open_to_others_is_warned_about_or_refused() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "canary-91ab\n").unwrap();
        for (mode, is_ok, warns) in [
            (0o600, true, false),
            (0o640, true, false),
            (0o644, true, true),
            (0o666, false, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read_file(&path, Form::Line);
            assert_eq!(read.is_ok(), is_ok, "{mode:o}");
            assert_eq!(
                read.is_ok_and(|(_, warning)| warning.is_some()),
                warns,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let (what, _) = read_file(Path::new("/nonexistent/secret"), Form::Line).unwrap_err();
        assert!(what.contains("/nonexistent/secret"), "{what}");
        let (what, _) = read_file(Path::new("/"), Form::Line).unwrap_err();
        assert!(what.contains("cannot be read"), "{what}");
    }
}
