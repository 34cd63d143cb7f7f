//! The rules that no input may break, each as a function that panics if an input breaks it.
//!
//! `fuzz/fuzz_targets` calls them with inputs of the fuzzer, and `tests/it/fuzz_corpus.rs` with the corpus. [`sections`] is
//! for the benchmark, which compares with the bytes of a session.
//!
//! # Invariants
//! - The key is random and each process makes its own, so no input can have been sealed with it.

mod app_proof;

use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use openidconnect::AccessToken;
use serde_json::{Map, Value};
use url::Url;

use crate::clock::UnixTime;
use crate::compose::probe as compose;
use crate::frontend::{Action, Forward, Policy, Route, RoutePath, RouteTable, TokenRequirement};
use crate::keyring::probe as key_file;
use crate::keyring::{Alg, Key, KeyRing};
use crate::names::{FrontendName, Origin, RequestPath, ReturnTo, RouteName, UpstreamName};
use crate::oidc::{TokenType, probe as oidc};
use crate::proof::{self, Proof, PublicKey};
use crate::session::probe::{Chosen, Probed};
use crate::session::{
    Compression, DeviceBinding, Jar, JarSettings, OpenResult, OpenSession, SameSite, Session,
    SessionId, SessionSettings, TokenSet, Wallet,
};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);

struct Scene {
    jar: Jar,
    keys: Arc<KeyRing>,
    session: Session,
    /// A `Cookie` line that holds `session` in three chunks.
    genuine: Vec<u8>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

/// Reads `data` as `Cookie` lines, and once more as a change to a genuine line.
///
/// # Panics
/// If either opens as a session, unless the change left all that counts as it was. If the answer does more than delete cookies.
pub fn cookie_header(data: &[u8]) {
    let scene = &*SCENE;
    let lines = || data.split(|byte| *byte == b'\n');
    assert!(scene.load(lines()).is_none(), "opened without the key");
    let wallet = scene.wallet(lines());
    assert!(wallet.load_hint().is_none());
    let text = std::str::from_utf8(data).unwrap_or_default();
    assert!(wallet.open_logout_state(text).is_none());

    let Some((at, change)) = data.split_first_chunk() else {
        return;
    };
    let mut line = scene.genuine.clone();
    let at = usize::from(u16::from_be_bytes(*at)) % line.len();
    for (to, from) in line.iter_mut().skip(at).zip(change) {
        *to = *from;
    }
    let opened = scene.load(std::iter::once(line.as_slice()));
    let genuine = &scene.session.tokens.access_token;
    assert!(opened.is_none_or(|session| session.tokens.access_token.secret() == genuine.secret()));
}

/// Seals the bytes after the first two as a state, and opens it. Whether it was accepted.
///
/// The first byte chooses the kind of state. If the second is under 128, it is the packing of the plaintext that follows.
/// Otherwise two sections follow, which are compressed here, to get behind the decompressor: two bytes of length,
/// big-endian, the packed section, and the loose one.
///
/// # Panics
/// If what opened does not encode to the same sections.
pub fn envelope_body(data: &[u8]) -> bool {
    let Some(([kind, packing], rest)) = data.split_first_chunk() else {
        return false;
    };
    let chosen = if *packing > 127 {
        let Some((len, sections)) = rest.split_first_chunk() else {
            return false;
        };
        let len = usize::from(u16::from_be_bytes(*len)).min(sections.len());
        let (packed, loose) = sections.split_at(len);
        Chosen::Sections { packed, loose }
    } else {
        Chosen::Plaintext {
            packing: *packing,
            bytes: rest,
        }
    };
    let probed = SCENE.jar.probe(&SCENE.keys, *kind, chosen);
    assert_ne!(probed, Probed::Ambiguous, "two spellings of one state");
    probed == Probed::Canonical
}

/// The bytes of a session: its packed section, the same compressed, and its loose section.
///
/// Empty if a field is over its limit.
pub fn sections(session: &Session) -> [Vec<u8>; 3] {
    crate::session::probe::sections(session).unwrap_or_default()
}

impl Scene {
    #[expect(
        clippy::expect_used,
        reason = "constants, and never run by the service"
    )]
    fn new() -> Self {
        let origin = UnixTime::from_secs(0);
        let key = Key::generate(Alg::default(), origin, origin).expect("randomness");
        let keys = Arc::new(KeyRing::from_keys(vec![key], NOW).expect("one active key"));
        let jar = Jar::new(settings().expect("valid names"));
        let session = session();
        let mut wallet = jar.wallet(std::iter::empty(), Arc::clone(&keys), NOW);
        wallet.store(&session).expect("it fits");
        let pairs: Vec<&str> = wallet
            .set_cookies()
            .lines()
            .filter_map(|line| line.split(';').next())
            .collect();
        let genuine = pairs.join("; ").into_bytes();
        Self {
            jar,
            keys,
            session,
            genuine,
        }
    }

    fn wallet<'d>(&'d self, lines: impl Iterator<Item = &'d [u8]>) -> Wallet<'d> {
        self.jar.wallet(lines, Arc::clone(&self.keys), NOW)
    }

    fn load<'d>(&'d self, lines: impl Iterator<Item = &'d [u8]>) -> Option<Rc<OpenSession>> {
        let mut wallet = self.wallet(lines);
        let loaded = wallet.load();
        assert!(
            wallet.set_cookies().is_empty() || loaded.result != OpenResult::UnknownKey,
            "E19"
        );
        wallet.delete_all();
        for line in wallet.set_cookies().lines() {
            assert!(
                line.contains("=; Path=/") && line.contains("; Max-Age=0; "),
                "{line}"
            );
            assert!(
                line.bytes().all(|byte| matches!(byte, b' '..=b'~')),
                "{line}"
            );
        }
        loaded.session
    }
}

fn settings() -> Option<JarSettings> {
    Some(JarSettings {
        frontend: FrontendName::parse("fuzz").ok()?,
        origin: Origin::parse("https://fuzz.example").ok()?,
        issuer: "https://id.example".to_owned(),
        client_id: "fuzz".to_owned(),
        base_path: "/bff".to_owned(),
        login_same_site: SameSite::Lax,
        login_timeout: Duration::from_mins(10),
        session: SessionSettings {
            absolute_timeout: HOUR,
            idle_timeout: HOUR,
            is_persistent: false,
            same_site: SameSite::Strict,
            max_bytes: 64 * 1024,
            claims: Vec::new(),
            refresh_ahead: Duration::ZERO,
            pad_to: 64,
            not_before: None,
            compression: Compression::Zstd,
            device_binding: DeviceBinding::Off,
        },
    })
}

/// Reads `data` as one of three things, by its first byte. Whether it was accepted.
///
/// `t`: the path of a part, and on each further line a value for its next placeholder. `p`: a JSON pointer, and behind the
/// first line break a document. `m`: documents between record separators (U+001E), which are put together.
///
/// # Panics
/// If a value leaves its place in the URL, as a URL library reads it; or if `serde_json` reads a document, what a pointer
/// finds in it, or the whole answer otherwise.
pub fn compose(data: &[u8]) -> bool {
    match data.split_first() {
        Some((b't', text)) => {
            let mut lines = std::str::from_utf8(text).unwrap_or_default().split('\n');
            let template = lines.next().unwrap_or_default();
            compose::template(template, &lines.collect::<Vec<_>>())
        }
        Some((b'p', text)) => {
            let mut halves = text.splitn(2, |byte| *byte == b'\n');
            let pointer = std::str::from_utf8(halves.next().unwrap_or_default());
            let document = halves.next().unwrap_or_default();
            pointer.is_ok_and(|pointer| compose::pointer(pointer, document))
        }
        Some((b'm', all)) => compose::answers(all.split(|byte| *byte == 0x1e)),
        _ => false,
    }
}

/// Text that cannot be compressed, so that three chunks stay three.
fn noise(len: usize) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let letter = u8::try_from(state >> 24).unwrap_or_default() % 26;
        char::from(b'a' + letter)
    };
    (0..len).map(|_| next()).collect()
}

fn session() -> Session {
    Session {
        id: SessionId([7; 16]),
        issuer: "https://id.example".to_owned(),
        subject: "alice".to_owned(),
        idp_sid: None,
        started_at: NOW,
        auth_time: None,
        ends_at: NOW.plus(HOUR),
        last_seen: NOW,
        claims: Map::new(),
        device: None,
        tokens: TokenSet {
            access_token: AccessToken::new(noise(8000)),
            token_type: TokenType::Bearer,
            refresh_token: None,
            issued_at: NOW,
            expires_at: NOW.plus(HOUR),
            refresh_ends_at: None,
            scope: String::new(),
        },
    }
}

/// A key whose private half nobody has any more, and a proof that it signed: a registration in Chromium's form.
const REGISTRATION: &str = "eyJhbGciOiJFUzI1NiIsImp3ayI6eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6InhNTGMydFJXQ1dsZE9EX3BfaGdXeVozTGdMRmlISVp1akdXazFJWDVjeWsiLCJ5IjoiQ3FpcXdMLWF3ekNfTlc4ZE4wYmtWbUw3MWVJRHEzaml0Mm9ZT0lERVNTVSJ9LCJ0eXAiOiJkYnNjK2p3dCJ9.eyJqdGkiOiJjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjIn0.UnCPRYO-1uWqswY0V8CwfIIatXcK5S7j2LYmr0YdpZFXhs1uI-M7T0qNZrcPYDkCkN88NYeVUXrXZa--EFluQg";

/// Reads `data` as a proof that brings its key, as one of a known key, and as a change to a genuine one (two bytes of position,
/// then bytes to write there). Whether the first is accepted. What begins as JSON is the claims of an app's proof instead.
///
/// # Panics
/// If a change to what was signed, or a proof that names another key than the known one, is believed. If an app's proof is good
/// for another request than its own.
pub fn device_proof(data: &[u8]) -> bool {
    if data.starts_with(b"{") {
        return app_proof::accepts(data);
    }
    let text = String::from_utf8_lossy(data);
    let read = |text: &str| Proof::read(text, "dbsc+jwt");
    let Ok(genuine) = read(REGISTRATION) else {
        return false;
    };
    let is_genuine = |text: &str| text == REGISTRATION;
    let by_known = proof::claims_of(&text, "dbsc+jwt", &genuine.key);
    if let (Ok(_), Ok(named)) = (&by_known, read(&text)) {
        assert_eq!(named.key, genuine.key, "signed by another key");
    }
    assert!(Proof::read(&text, "dpop+jwt").is_err() || !is_genuine(&text));
    if let Some((at, change)) = data.split_first_chunk() {
        let mut bytes = REGISTRATION.as_bytes().to_vec();
        let at = usize::from(u16::from_be_bytes(*at)) % bytes.len();
        for (to, from) in bytes.iter_mut().skip(at).zip(change) {
            *to = *from;
        }
        let changed = String::from_utf8_lossy(&bytes);
        let believed = read(&changed).is_ok_and(|proof| proof.key == genuine.key);
        assert!(!believed || is_genuine(&changed), "a change is believed");
    }
    let Ok(proof) = read(&text) else {
        return false;
    };
    // What says its key is verified by that key, and by no other reading of it.
    let again = proof::claims_of(&text, "dbsc+jwt", &proof.key);
    assert!(again.is_ok_and(|claims| claims == proof.claims));
    assert_eq!(PublicKey::from_bytes(*proof.key.as_bytes()), proof.key);
    true
}

static PROBE: LazyLock<Option<oidc::Probe>> = LazyLock::new(|| oidc::Probe::new(NOW));

/// Reads `data` as a key file. Whether it was accepted.
///
/// # Panics
/// If the key is another one once it is written and read again, or if its kid is not that of its secret.
pub fn key_file(data: &[u8]) -> bool {
    let probed = key_file::key_file(data);
    assert_ne!(probed, key_file::Probed::Ambiguous);
    probed == key_file::Probed::Key
}

/// Reads `data` as a place to return to. Whether it was accepted.
///
/// # Panics
/// If a browser would leave the origin for it, or if a second reading gives another place.
pub fn return_to(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Some(place) = ReturnTo::parse(&text) else {
        return false;
    };
    let path = place.as_str();
    for base in ["https://shop.example", "http://localhost:8080/bff/callback"] {
        let base = Url::parse(base).ok();
        let joined = base.as_ref().and_then(|base| base.join(path).ok());
        assert_eq!(
            joined.map(|url| url.origin()),
            base.map(|base| base.origin()),
            "{path}"
        );
    }
    assert!(path.len() <= 4096 && path.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(ReturnTo::parse(path), Some(place.clone()), "{path}");
    // Some programs drop tabs and line ends, or take a backslash for a slash. They find none.
    assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'));
    true
}

/// Reads `data` as the path of a request. Whether it was accepted.
///
/// # Panics
/// If a program that decodes it or resolves dots reads another path, or finds another route.
pub fn route_path(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Ok(path) = RequestPath::parse(&text) else {
        return false;
    };
    let raw = path.as_str();
    let decoded = percent_decode(raw.as_bytes());
    let segments: Vec<_> = raw
        .split('/')
        .map(|s| percent_decode(s.as_bytes()))
        .collect();
    // Whether it is decoded first or divided first, once or twice, the segments are the same.
    assert_eq!(decoded, segments.join(&b'/'));
    assert_eq!(percent_decode(&decoded), decoded, "a second layer");
    assert!(!has_wide_escape(&decoded), "a second layer of IIS");
    assert_eq!(carelessly(&decoded), decoded, "overlong UTF-8");
    let dots: [&[u8]; 2] = [b".", b".."];
    assert!(!segments.iter().any(|s| dots.contains(&s.as_slice())));
    let inner = segments.len().saturating_sub(1);
    assert!(segments.iter().take(inner).skip(1).all(|s| !s.is_empty()));
    assert!(
        !decoded
            .iter()
            .any(|byte| byte.is_ascii_control() || b"\\;".contains(byte))
    );
    // A URL parser reads the same path.
    let url = Url::parse("https://shop.example").and_then(|base| base.join(raw));
    let theirs = url.map(|url| percent_decode(url.path().as_bytes()));
    assert_eq!(theirs.ok().as_ref(), Some(&decoded));

    let names = |segments: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let named = segments.iter().filter(|s| !s.is_empty());
        named.cloned().collect()
    };
    let asked = names(&segments);
    let deepest = ROUTES
        .iter()
        .filter(|route| {
            let wanted = route.split('/').map(|s| percent_decode(s.as_bytes()));
            let wanted = names(&wanted.collect::<Vec<_>>());
            let mut pairs = wanted.iter().zip(&asked);
            wanted.len() <= asked.len() && pairs.all(|(w, a)| w == b"{sub}" || w == a)
        })
        .max_by_key(|route| route.split('/').filter(|s| !s.is_empty()).count());
    let found = TABLE.find(path);
    let text = found.map(|(route, _)| route.path.as_str());
    assert_eq!(text, deepest.copied(), "{raw}");
    // The segment that the policy compares is the one that was matched.
    for (name, segment) in found.iter().flat_map(|(route, _)| route.path.claims(path)) {
        assert_eq!(
            (name, Some(&percent_decode(segment.as_bytes()))),
            ("sub", asked.get(1))
        );
        let rest = found.map_or("", |(_, rest)| rest);
        assert_eq!(rest.split('/').count(), segments.len() - 3, "{raw}");
    }
    true
}

/// Reads `data` as an ID token, as a change to a genuine one (two bytes of position, then bytes to write there), and as the
/// payload of a signed one. Whether the last was accepted.
///
/// # Panics
/// If it accepts a token that was not signed, or is not for this client, this login and this time.
pub fn id_token(data: &[u8]) -> bool {
    let Some(probe) = &*PROBE else {
        return false;
    };
    let text = String::from_utf8_lossy(data);
    assert_eq!(
        probe.verify(NOW, &text),
        None,
        "believed without a signature"
    );

    if let Some((at, change)) = data.split_first_chunk() {
        let mut changed = GENUINE.clone().into_bytes();
        let at = usize::from(u16::from_be_bytes(*at)) % changed.len();
        for (to, from) in changed.iter_mut().skip(at).zip(change) {
            *to = *from;
        }
        let changed = String::from_utf8_lossy(&changed);
        let covered = |token: &str| token.rsplit_once('.').map(|(input, _)| input.to_owned());
        assert!(
            probe.verify(NOW, &changed).is_none() || covered(&changed) == covered(&GENUINE),
            "a change was believed"
        );
    }

    // A signature takes time, and a payload that is not JSON is refused before its signature is checked.
    if serde_json::from_slice::<Value>(data).is_err() {
        let raw = oidc::unsigned(data);
        assert_eq!(probe.verify(NOW, &raw), None, "believed without reading");
        return false;
    }
    let Some(claims) = probe.sign(data).and_then(|raw| probe.verify(NOW, &raw)) else {
        return false;
    };
    let says = |name: &str, wanted: &str| claims.get(name).and_then(Value::as_str) == Some(wanted);
    assert!(
        says("iss", oidc::ISSUER) && says("nonce", oidc::NONCE),
        "{claims:?}"
    );
    assert!(
        claims
            .get("sub")
            .and_then(Value::as_str)
            .is_some_and(|sub| !sub.is_empty())
    );
    let aud = claims
        .get("aud")
        .map(|aud| aud.as_array().cloned().unwrap_or_else(|| vec![aud.clone()]));
    assert!(aud.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one == oidc::CLIENT)));
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let now = u32::try_from(NOW.as_secs()).map_or(f64::MAX, f64::from);
    let skew = f64::from(oidc::SKEW);
    assert!(
        time("exp").is_some_and(|exp| exp + skew + 1.0 >= now),
        "{claims:?}"
    );
    assert!(
        time("iat").is_some_and(|iat| iat <= now + skew),
        "{claims:?}"
    );
    assert!(!claims.contains_key("events"));
    true
}

/// An ID token that keeps every rule.
static GENUINE: LazyLock<String> = LazyLock::new(|| {
    let now = NOW.as_secs();
    let payload = serde_json::json!({
        "iss": oidc::ISSUER, "aud": oidc::CLIENT, "sub": "alice", "nonce": oidc::NONCE, "iat": now, "exp": now,
    });
    let signed = PROBE
        .as_ref()
        .and_then(|probe| {
            let raw = probe.sign(payload.to_string().as_bytes())?;
            probe.verify(NOW, &raw).map(|_| raw)
        })
        .unwrap_or_default();
    assert!(!signed.is_empty(), "the genuine one is good");
    signed
});

/// Reads `data` as a logout token, as a change to a genuine one as in [`id_token`], and as the payload of a signed one.
/// Whether the last was accepted.
///
/// # Panics
/// If it accepts a token that was not signed, or is not a logout token for this client and this time.
pub fn logout_token(data: &[u8]) -> bool {
    let Some(probe) = &*PROBE else {
        return false;
    };
    let text = String::from_utf8_lossy(data);
    assert_eq!(probe.verify_logout(NOW, &text), None, "without a signature");
    if let Some((at, change)) = data.split_first_chunk() {
        let mut changed = GENUINE_LOGOUT.clone().into_bytes();
        let at = usize::from(u16::from_be_bytes(*at)) % changed.len();
        for (to, from) in changed.iter_mut().skip(at).zip(change) {
            *to = *from;
        }
        let changed = String::from_utf8_lossy(&changed);
        let covered = |token: &str| token.rsplit_once('.').map(|(input, _)| input.to_owned());
        assert!(
            probe.verify_logout(NOW, &changed).is_none()
                || covered(&changed) == covered(&GENUINE_LOGOUT),
            "a change was believed"
        );
    }
    let Ok(claims) = serde_json::from_slice::<Value>(data) else {
        let raw = oidc::unsigned(data);
        assert_eq!(probe.verify_logout(NOW, &raw), None, "without reading");
        return false;
    };
    let signed = probe.sign(data);
    let Some(token) = signed.and_then(|raw| probe.verify_logout(NOW, &raw)) else {
        return false;
    };
    assert!(token.sid.is_some() || token.subject.is_some(), "nobody's");
    assert!(!token.id.is_empty(), "without a name");
    assert_eq!(claims.get("iss"), Some(&Value::from(oidc::ISSUER)));
    assert_eq!(claims.get("nonce"), None, "an ID token");
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let event = claims.get("events").and_then(|events| events.get(event));
    assert!(event.is_some_and(Value::is_object), "{claims:?}");
    let latest = NOW.as_secs().saturating_sub(u64::from(oidc::SKEW));
    assert!(token.expires_at.as_secs() >= latest, "{claims:?}");
    true
}

/// A logout token that keeps every rule.
static GENUINE_LOGOUT: LazyLock<String> = LazyLock::new(|| {
    let now = NOW.as_secs();
    let payload = serde_json::json!({
        "iss": oidc::ISSUER, "aud": oidc::CLIENT, "sub": "alice", "sid": "s1", "jti": "j1", "iat": now, "exp": now,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let signed = PROBE
        .as_ref()
        .and_then(|probe| {
            let raw = probe.sign(payload.to_string().as_bytes())?;
            probe.verify_logout(NOW, &raw).map(|_| raw)
        })
        .unwrap_or_default();
    assert!(!signed.is_empty(), "the genuine one is good");
    signed
});

/// Routes that contain one another, some written with escapes.
const ROUTES: [&str; 10] = [
    "/",
    "/api",
    "/api/orders",
    "/api/@me",
    "/api/%40me/x",
    "/caf%C3%A9",
    "/a%20b",
    "/api/orders/7",
    "/api/{sub}/box",
    "/api/100%25",
];

static TABLE: LazyLock<RouteTable> = LazyLock::new(|| {
    let routes = ROUTES.iter().filter_map(|path| {
        Some(Route {
            name: RouteName::parse("fuzz").ok()?,
            path: RoutePath::parse(path).ok()?,
            token: TokenRequirement::User,
            exchange: None,
            policy: Policy::default(),
            rate_limit: None,
            require_fresh_device: false,
            action: Action::Forward(Forward {
                upstream: UpstreamName::parse("fuzz").ok()?,
                strip_prefix: true,
                methods: Vec::new(),
                body_limit: 0,
                timeout: None,
                documents: None,
                websocket: false,
                cookies: Vec::new(),
                set_cookies: Vec::new(),
                strip_headers: Vec::new(),
            }),
        })
    });
    RouteTable::new(routes.collect())
});

/// Whether the text has `%uXXXX` somewhere.
fn has_wide_escape(text: &[u8]) -> bool {
    let mut windows = text.windows(6);
    windows.any(|six| {
        let is_mark = matches!(six, [b'%', b'u' | b'U', ..]);
        is_mark && six.iter().skip(2).all(u8::is_ascii_hexdigit)
    })
}

/// Reads every overlong sequence of UTF-8 as the ASCII character it stands for, as careless decoders do.
fn carelessly(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    let six = |byte: u8| byte & 0x3F;
    while let [first, tail @ ..] = rest {
        let (character, len) = match rest {
            [a @ 0xC0..=0xC1, b @ 0x80..=0xBF, ..] => (Some((a & 1) << 6 | six(*b)), 2),
            [0xE0, b @ 0x80..=0x81, c @ 0x80..=0xBF, ..] => (Some((b & 1) << 6 | six(*c)), 3),
            [0xF0, 0x80, c @ 0x80..=0x81, d @ 0x80..=0xBF, ..] => (Some((c & 1) << 6 | six(*d)), 4),
            _ => (None, 1),
        };
        out.push(character.unwrap_or(*first));
        rest = if character.is_some() {
            rest.get(len..).unwrap_or_default()
        } else {
            tail
        };
    }
    out
}

/// A second, simple decoder, which shares no mistake with the one it checks.
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).filter(|_| *first == b'%');
        let byte = escape
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            rest.get(3..).unwrap_or_default()
        } else {
            tail
        };
    }
    out
}
