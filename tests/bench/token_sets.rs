//! Tokens as providers write them, for sizes and speeds that mean something: real names of claims, made-up values.
//!
//! Signatures, ids and opaque tokens are random (from a fixed seed), so they do not compress. The people, hosts and roles
//! here are in no dictionary of `src/session`, and were not among what it was made with.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{AccessToken, RefreshToken};
use sealgate::clock::UnixTime;
use sealgate::names::{FrontendName, Origin};
use sealgate::oidc::TokenType;
use sealgate::session::{
    Compression, DeviceBinding, JarSettings, SameSite, Session, SessionId, SessionSettings,
    TokenSet,
};
use serde_json::{Map, Value, json};

/// A noon in 2026.
pub const NOW: UnixTime = UnixTime::from_secs(1_795_262_400);
const IAT: u64 = NOW.as_secs() - 2;

/// Claims in the order in which a provider writes them.
type Claims = Vec<(&'static str, Value)>;

macro_rules! claims {
    ($($name:literal: $value:expr),* $(,)?) => { vec![$(($name, json!($value))),*] };
}

/// What one login brings.
pub struct Tokens {
    pub name: &'static str,
    pub issuer: &'static str,
    pub access_token: String,
    pub refresh_token: String,
    pub id_token: String,
    pub scope: &'static str,
    /// Of the ID token.
    claims: Map<String, Value>,
}

impl Tokens {
    /// The session that a login with the default configuration makes of it.
    pub fn session(&self) -> Session {
        let text = |name: &str| Some(self.claims.get(name)?.as_str()?.to_owned());
        let kept = ["sub", "name", "email", "sid"];
        let claims: Map<String, Value> = kept
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.claims.get(*name)?.clone())))
            .collect();
        Session {
            id: SessionId(std::array::from_fn(|at| self.refresh_token.as_bytes()[at])),
            issuer: self.issuer.to_owned(),
            subject: text("sub").unwrap_or_default(),
            idp_sid: text("sid"),
            started_at: NOW,
            auth_time: self
                .claims
                .get("auth_time")
                .and_then(Value::as_u64)
                .map(UnixTime::from_secs),
            ends_at: NOW.plus(Duration::from_hours(8)),
            last_seen: NOW,
            claims,
            device: None,
            tokens: TokenSet {
                access_token: AccessToken::new(self.access_token.clone()),
                token_type: TokenType::Bearer,
                refresh_token: Some(RefreshToken::new(self.refresh_token.clone())),
                issued_at: NOW,
                expires_at: NOW.plus(Duration::from_mins(5)),
                refresh_ends_at: None,
                scope: self.scope.to_owned(),
            },
        }
    }

    /// The default configuration of a frontend `shop`.
    pub fn settings(&self, compression: Compression) -> JarSettings {
        JarSettings {
            frontend: FrontendName::parse("shop").expect("a name"),
            origin: Origin::parse("https://shop.example.com").expect("an origin"),
            issuer: self.issuer.to_owned(),
            client_id: "storefront".to_owned(),
            base_path: "/bff".to_owned(),
            login_same_site: SameSite::Lax,
            login_timeout: Duration::from_mins(10),
            session: SessionSettings {
                absolute_timeout: Duration::from_hours(8),
                idle_timeout: Duration::from_mins(30),
                is_persistent: false,
                same_site: SameSite::Strict,
                max_bytes: 64 * 1024,
                claims: ["sub", "name", "email", "sid"].map(str::to_owned).to_vec(),
                refresh_ahead: Duration::from_mins(1),
                pad_to: 64,
                not_before: None,
                compression,
                device_binding: DeviceBinding::Off,
            },
        }
    }
}

/// All of them.
pub fn all() -> Vec<Tokens> {
    vec![
        plain(),
        keycloak(),
        entra(),
        keycloak_of("8 roles", 8, 0, None),
        keycloak_of("8 roles, 50 groups", 8, 50, None),
        keycloak_of("8 roles, 150 groups", 8, 150, None),
    ]
}

/// A small provider with RFC 9068 access tokens and opaque refresh tokens.
pub fn plain() -> Tokens {
    let mut noise = Noise(1);
    let issuer = "https://login.northwind-traders.example";
    let (sub, kid) = (noise.text(21), noise.text(43));
    let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}"}}"#);
    let scope = "openid profile email orders.read orders.write";
    let access = claims! {
        "iss": issuer, "sub": sub, "aud": "https://api.northwind-traders.example", "client_id": "storefront", "exp": IAT + 300,
        "iat": IAT, "auth_time": IAT - 9, "jti": noise.text(21), "scope": scope, "acr": "urn:northwind:loa:2",
        "tenant": noise.uuid(), "entitlements": ["catalogue", "checkout", "returns"], "warehouse": "",
    };
    let claims = claims! {
        "sub": sub, "name": "Bartholomew Quigley", "email": "b.quigley@northwind-traders.example", "email_verified": true,
        "locale": "en-GB", "nonce": noise.text(43), "at_hash": noise.text(22), "aud": "storefront", "exp": IAT + 300,
        "iat": IAT, "iss": issuer, "auth_time": IAT - 9, "picture": "", "sid": noise.text(21),
    };
    let id_header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#);
    Tokens {
        name: "plain",
        issuer,
        access_token: noise.jwt(&header, access, "warehouse", 256, Some(1250)),
        refresh_token: noise.text(43),
        id_token: noise.jwt(&id_header, claims.clone(), "picture", 256, Some(1257)),
        scope,
        claims: map(claims),
    }
}

/// Keycloak as it comes.
pub fn keycloak() -> Tokens {
    keycloak_of("keycloak", 3, 0, Some((1503, 1207)))
}

/// Keycloak, with its own roles and so many of the application's, and groups as GUIDs.
fn keycloak_of(
    name: &'static str,
    roles: usize,
    groups: usize,
    lengths: Option<(usize, usize)>,
) -> Tokens {
    let mut noise = Noise(2);
    let issuer = "https://id.tailspin.example/realms/customers";
    let (sub, sid) = (noise.uuid(), noise.uuid());
    let kid = noise.text(43);
    let header = format!(r#"{{"alg":"RS256","typ" : "JWT","kid" : "{kid}"}}"#);
    let names = [
        "offline_access",
        "uma_authorization",
        "default-roles-customers",
        "catalogue-curator",
        "refund-clerk",
        "stock-keeper",
        "price-setter",
        "newsletter-author",
    ];
    let groups: Vec<String> = (0..groups).map(|_| noise.uuid()).collect();
    let person = claims! {
        "email_verified": true, "name": "Wilma Abernathy", "preferred_username": "wabernathy",
        "given_name": "Wilma", "family_name": "Abernathy", "email": "w.abernathy@tailspin.example",
    };
    let scope = "openid email profile";
    let mut access = claims! {
        "exp": IAT + 300, "iat": IAT, "auth_time": IAT - 7, "jti": noise.uuid(), "iss": issuer, "aud": "account", "sub": sub,
        "typ": "Bearer", "azp": "storefront", "sid": sid, "acr": "1", "allowed-origins": ["https://shop.example.com"],
        "realm_access": json!({ "roles": names.get(..roles) }),
        "resource_access": json!({ "account": { "roles": ["manage-account", "manage-account-links", "view-profile"] } }),
        "scope": scope,
    };
    let mut claims = claims! {
        "exp": IAT + 300, "iat": IAT, "auth_time": IAT - 7, "jti": noise.uuid(), "iss": issuer, "aud": "storefront", "sub": sub,
        "typ": "ID", "azp": "storefront", "nonce": noise.text(22), "sid": sid, "at_hash": noise.text(22), "acr": "1",
    };
    let refresh = claims! {
        "exp": IAT + 1800, "iat": IAT, "jti": noise.uuid(), "iss": issuer, "aud": issuer, "sub": sub, "typ": "Refresh",
        "azp": "storefront", "sid": sid, "scope": "openid ",
    };
    for token in [&mut access, &mut claims] {
        if !groups.is_empty() {
            token.push(("groups", json!(groups)));
        }
        token.extend(person.iter().cloned());
        if lengths.is_some() {
            token.push(("loyalty_number", json!("")));
        }
    }
    let refresh_header = format!(
        r#"{{"alg":"HS512","typ" : "JWT","kid" : "{}"}}"#,
        noise.uuid()
    );
    Tokens {
        name,
        issuer,
        access_token: noise.jwt(
            &header,
            access,
            "loyalty_number",
            256,
            lengths.map(|(access, _)| access),
        ),
        refresh_token: noise.jwt(&refresh_header, refresh, "scope", 64, lengths.map(|_| 669)),
        id_token: noise.jwt(
            &header,
            claims.clone(),
            "loyalty_number",
            256,
            lengths.map(|(_, id)| id),
        ),
        scope,
        claims: map(claims),
    }
}

/// Microsoft Entra ID, version 2 tokens.
pub fn entra() -> Tokens {
    let mut noise = Noise(3);
    let issuer = "https://login.microsoftonline.com/5b1f0a6c-3f4e-4d0b-9c77-d2f2a8e6b914/v2.0";
    let tid = "5b1f0a6c-3f4e-4d0b-9c77-d2f2a8e6b914";
    let (client, oid, sid) = (noise.uuid(), noise.uuid(), noise.uuid());
    let kid = noise.text(27);
    let header = format!(r#"{{"typ":"JWT","alg":"RS256","kid":"{kid}"}}"#);
    let login = "c.featherstonehaugh@wingtip-imports.example";
    let groups: Vec<String> = (0..5).map(|_| noise.uuid()).collect();
    let wids: Vec<String> = (0..2).map(|_| noise.uuid()).collect();
    let access = claims! {
        "aud": client, "iss": issuer, "iat": IAT, "nbf": IAT, "exp": IAT + 4711, "acct": 0, "acr": "1",
        "aio": noise.text(98), "amr": ["pwd", "mfa"], "app_displayname": "Wingtip Storefront", "azp": client, "azpacr": "1",
        "email": login, "family_name": "Featherstonehaugh", "given_name": "Cuthbert", "groups": groups,
        "idtyp": "user", "ipaddr": "198.51.100.23", "name": "Cuthbert Featherstonehaugh",
        "oid": oid, "preferred_username": login, "puid": "10032003C2A91F7E", "rh": format!("1.{}.", noise.text(56)),
        "roles": ["Catalogue.Curate", "Refunds.Approve"], "scp": "access_as_user", "sid": sid, "sub": noise.text(43),
        "tid": tid, "upn": login, "uti": noise.text(22), "ver": "2.0", "wids": wids, "xms_ftd": "",
    };
    let claims = claims! {
        "aud": client, "iss": issuer, "iat": IAT, "nbf": IAT, "exp": IAT + 3900, "auth_time": IAT - 30,
        "email": login, "name": "Cuthbert Featherstonehaugh", "nonce": noise.text(32), "oid": oid, "preferred_username": login,
        "rh": format!("1.{}.", noise.text(56)), "sid": sid, "sub": noise.text(43), "tid": tid, "uti": noise.text(22), "ver": "2.0",
        "login_hint": "",
    };
    let refresh = format!("1.{}.{}", noise.text(84), noise.text(1179 - 3 - 84));
    Tokens {
        name: "entra",
        issuer,
        access_token: noise.jwt(&header, access, "xms_ftd", 256, Some(2364)),
        refresh_token: refresh,
        id_token: noise.jwt(&header, claims.clone(), "login_hint", 256, Some(1387)),
        scope: "openid profile email offline_access",
        claims: map(claims),
    }
}

fn map(claims: Claims) -> Map<String, Value> {
    claims
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// splitmix64.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut word = || {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        };
        (0..len.div_ceil(8))
            .flat_map(|_| word())
            .take(len)
            .collect()
    }

    /// So many characters of base64url.
    fn text(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // Letters, as providers draw them: not what base64url makes of any bytes.
        self.bytes(len)
            .into_iter()
            .map(|byte| char::from(LETTERS[usize::from(byte) % 64]))
            .collect()
    }

    fn uuid(&mut self) -> String {
        let hex = self
            .bytes(16)
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// A token of `length` characters (or one more), for which the claim `filler` gets random text.
    fn jwt(
        &mut self,
        header: &str,
        mut claims: Claims,
        filler: &str,
        signature: usize,
        length: Option<usize>,
    ) -> String {
        let signature = URL_SAFE_NO_PAD.encode(self.bytes(signature));
        let header = URL_SAFE_NO_PAD.encode(header);
        let at = claims.iter().position(|(name, _)| *name == filler);
        let begun = at.and_then(|at| Some(claims[at].1.as_str()?.to_owned()));
        let mut first = 0;
        for more in 0..2000 {
            if let (Some(at), Some(begun)) = (at, &begun) {
                claims[at].1 = json!(format!("{begun}{}", self.text(more)));
            }
            let members: Vec<String> = claims
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            let claims = URL_SAFE_NO_PAD.encode(format!("{{{}}}", members.join(",")));
            let token = format!("{header}.{claims}.{signature}");
            first = if more == 0 { token.len() } else { first };
            // Not every length is one of base64url.
            if length.is_none_or(|length| (length..=length + 1).contains(&token.len())) {
                return token;
            }
        }
        unreachable!("no token of {length:?} characters, but of {first}");
    }
}
