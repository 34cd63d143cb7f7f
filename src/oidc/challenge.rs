//! Reads `WWW-Authenticate`, the header with which an API says what it wants after a 401.
//!
//! # Invariants
//! - Any bytes are read to their end: a line that breaks the grammar gives the challenges before the break.
//! - Long lines, and lines after the first few, are not read.
//!
//! # Spec
//! RFC 9110 §11.6.1 (the grammar), §5.6.2 (tokens), §5.6.4 (quoted strings).

use http::HeaderValue;

/// Longest line that is read, in bytes.
const MAX_LINE: usize = 4096;

/// How many lines are read.
const MAX_LINES: usize = 8;

/// One challenge of a line: `Bearer realm="x", error="invalid_token"`.
#[derive(Debug, Default)]
pub struct Challenge<'l> {
    scheme: &'l str,
    params: Vec<(&'l str, String)>,
}

impl Challenge<'_> {
    /// Whether it asks for this scheme. RFC 9110 §11.1: case does not matter.
    pub fn is_for(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// A parameter that is there exactly once.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut found = self
            .params
            .iter()
            .filter(|param| param.0.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// Whether an API wants another nonce in the proof of a request, and has done nothing else with it (RFC 9449 §9).
pub fn asks_for_nonce(lines: &[HeaderValue]) -> bool {
    challenges_of(lines).any(|challenge| {
        challenge.is_for("dpop") && challenge.param("error") == Some("use_dpop_nonce")
    })
}

/// All challenges of some lines.
pub fn challenges_of(lines: &[HeaderValue]) -> impl Iterator<Item = Challenge<'_>> {
    lines
        .iter()
        .take(MAX_LINES)
        .map(HeaderValue::as_bytes)
        .filter(|line| line.len() <= MAX_LINE)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(challenges)
}

/// The challenges of a line, up to the first place that breaks the grammar.
fn challenges(line: &str) -> Vec<Challenge<'_>> {
    let mut all: Vec<Challenge<'_>> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest);
        if name.is_empty() {
            return all;
        }
        rest = after.trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            all.push(Challenge {
                scheme: name,
                params: Vec::new(),
            });
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            let Some(read) = unquoted(quoted) else {
                return all;
            };
            read
        } else {
            let (text, after) = token(value);
            // A token68 may end in `=`.
            (text.to_owned(), after.trim_start_matches('='))
        };
        if let Some(challenge) = all.last_mut() {
            challenge.params.push((name, value));
        }
        rest = after;
    }
}

/// The token at the beginning, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// What a quoted string holds, given what follows its first quote, and what follows its last quote.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(chars.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The challenges of a line, as `scheme name=value name=value`.
    fn written(line: &str) -> Vec<String> {
        let write = |challenge: Challenge<'_>| {
            let params = challenge.params.iter();
            let params = params.map(|(name, value)| format!(" {name}={value}"));
            format!("{}{}", challenge.scheme, params.collect::<String>())
        };
        challenges(line).into_iter().map(write).collect()
    }

    #[test]
    fn a_line_may_hold_several_challenges() {
        // RFC 9110 §11.6.1 has the second as its example.
        for (line, expected) in [
            ("Bearer", vec!["Bearer"]),
            (
                "Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"",
                vec![
                    "Basic realm=simple",
                    "Newauth realm=apps type=1 title=Login to \"apps\"",
                ],
            ),
            (
                "DPoP error=\"use_dpop_nonce\" , algs=\"ES256 PS256\"",
                vec!["DPoP error=use_dpop_nonce algs=ES256 PS256"],
            ),
            (
                "Negotiate YII=, Bearer a = b",
                vec!["Negotiate YII=", "Bearer a=b"],
            ),
            ("Bearer a=\"b", vec!["Bearer"]),
            ("a=b, Bearer", vec!["Bearer"]),
            ("", vec![]),
        ] {
            assert_eq!(written(line), expected, "{line}");
        }
    }

    #[test]
    fn a_parameter_that_is_there_twice_says_nothing() {
        let all = challenges("Bearer error=a, Error=b, scope=c");
        assert!(all.iter().all(|challenge| challenge.is_for("bearer")));
        let param = |name| all.first().and_then(|challenge| challenge.param(name));
        assert_eq!((param("error"), param("SCOPE")), (None, Some("c")));
    }

    #[test]
    fn long_lines_and_many_lines_are_not_read() {
        let line = |text: String| HeaderValue::try_from(text).unwrap();
        let long = line(format!("Bearer a={}", "b".repeat(MAX_LINE)));
        assert_eq!(challenges_of(&[long, line("Basic".to_owned())]).count(), 1);
        let many = vec![line("Basic".to_owned()); MAX_LINES + 1];
        assert_eq!(challenges_of(&many).count(), MAX_LINES);
    }

    #[test]
    fn a_nonce_is_asked_for_by_the_scheme_that_has_nonces() {
        for (line, asks) in [
            ("DPoP error=\"use_dpop_nonce\"", true),
            ("Bearer, dpop algs=\"ES256\", error=use_dpop_nonce", true),
            ("Bearer error=\"use_dpop_nonce\"", false),
            ("DPoP error=\"invalid_token\"", false),
            ("DPoP", false),
        ] {
            assert_eq!(
                asks_for_nonce(&[HeaderValue::from_static(line)]),
                asks,
                "{line}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_to_its_end(line in "(Bearer|[a-z]{0,3}| |,|=|\"|\\\\|/|error=|ü){0,40}") {
            let challenges = challenges(&line);
            let read: usize = challenges.iter().map(|challenge| challenge.scheme.len()).sum();
            proptest::prop_assert!(read <= line.len());
        }
    }
}
