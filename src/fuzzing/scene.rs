//! One frontend's cookies, and a session in them.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use openidconnect::AccessToken;
use serde_json::Map;

use super::NOW;
use crate::clock::UnixTime;
use crate::keyring::{Alg, Key, KeyRing};
use crate::names::{FrontendName, Origin};
use crate::oidc::TokenType;
use crate::session::{
    Compression, DeviceBinding, Jar, JarSettings, OpenResult, OpenSession, SameSite, Session,
    SessionId, SessionSettings, TokenSet, Wallet,
};

const HOUR: Duration = Duration::from_hours(1);

pub(super) struct Scene {
    pub(super) jar: Jar,
    pub(super) keys: Arc<KeyRing>,
    pub(super) session: Session,
    /// A `Cookie` line that holds `session` in three chunks.
    pub(super) genuine: Vec<u8>,
}

pub(super) static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

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

    pub(super) fn wallet<'d>(&'d self, lines: impl Iterator<Item = &'d [u8]>) -> Wallet<'d> {
        self.jar.wallet(lines, Arc::clone(&self.keys), NOW)
    }

    pub(super) fn load<'d>(
        &'d self,
        lines: impl Iterator<Item = &'d [u8]>,
    ) -> Option<Rc<OpenSession>> {
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
