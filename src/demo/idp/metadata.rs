//! What the provider says of itself and of people: discovery, keys, userinfo.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::faults::{DiscoveryFault, EndpointFault, Fault};
use super::request::{ACR_PASSWORD, ACR_STEP_UP};
use super::{PushedRequests, Shared};
use crate::demo::dpop::{Refusal, authorization};

/// OpenID Connect Discovery §4.
pub(super) const PATH: &str = "/.well-known/openid-configuration";

/// Where a multi-tenant provider has metadata for all tenants, as Entra ID does.
pub(super) const COMMON_PATH: &str = "/organizations/v2.0/.well-known/openid-configuration";

pub(super) async fn discovery(idp: Data<Shared>) -> HttpResponse {
    idp.observed().discovery += 1;
    let mut metadata = metadata(&idp.issuer);
    if let Some(members) = metadata.as_object_mut() {
        members.extend(of_pushed_requests(&idp));
    }
    for fault in idp.faults.take(|fault| match fault {
        Fault::Discovery(fault) => Some(fault.clone()),
        _ => None,
    }) {
        let (name, value) = match fault {
            DiscoveryFault::Endpoint(fault) => match fail(fault).await {
                Some(failure) => return failure,
                None => continue,
            },
            DiscoveryFault::IssuerCase => (
                "issuer",
                Some(idp.issuer.replacen("http", "HTTP", 1).into()),
            ),
            DiscoveryFault::IssuerSlash => ("issuer", Some(format!("{}/", idp.issuer).into())),
            DiscoveryFault::With(name, value) => (name, Some(value)),
            DiscoveryFault::Without(name) => (name, None),
        };
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove(name);
            metadata.extend(value.map(|value: Value| (name.to_owned(), value)));
        }
    }
    HttpResponse::Ok().json(metadata)
}

fn metadata(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let auth_methods = [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ];
    let signing_algorithms = ["ES256", "EdDSA", "PS256"];
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"),
        "userinfo_endpoint": at("/userinfo"),
        "revocation_endpoint": at("/revoke"),
        "end_session_endpoint": at("/end_session"),
        "scopes_supported": ["openid", "profile", "email", "roles", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post", "jwt", "query.jwt"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "acr_values_supported": [ACR_PASSWORD, ACR_STEP_UP],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "ES384"],
        "token_endpoint_auth_methods_supported": auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": signing_algorithms,
        "revocation_endpoint_auth_methods_supported": auth_methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signing_algorithms,
        "authorization_signing_alg_values_supported": ["ES256", "ES384"],
        "claims_supported": [
            "sub", "iss", "aud", "iat", "exp", "auth_time", "nonce", "acr", "sid", "at_hash",
            "name", "email", "roles",
        ],
        "dpop_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "request_object_signing_alg_values_supported": signing_algorithms,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
    })
}

/// RFC 9126 §5.
fn of_pushed_requests(idp: &Shared) -> Map<String, Value> {
    let mut members = Map::new();
    if idp.options.pushed != PushedRequests::No {
        let endpoint = format!("{}/par", idp.issuer);
        let name = "pushed_authorization_request_endpoint";
        members.insert(name.to_owned(), endpoint.into());
    }
    if idp.options.pushed == PushedRequests::Required {
        let name = "require_pushed_authorization_requests";
        members.insert(name.to_owned(), true.into());
    }
    members
}

pub(super) async fn jwks(idp: Data<Shared>) -> HttpResponse {
    idp.observed().jwks += 1;
    if let Some(failure) = endpoint_fault(&idp, |fault| match fault {
        Fault::Jwks(fault) => Some(*fault),
        _ => None,
    })
    .await
    {
        return failure;
    }
    let mut jwks = idp.keys().jwks();
    let members = idp.faults.take(|fault| match fault {
        Fault::KeyMember(name, value) => Some((*name, value.clone())),
        _ => None,
    });
    let keys = jwks.get_mut("keys").and_then(Value::as_array_mut);
    for key in keys.into_iter().flatten().filter_map(Value::as_object_mut) {
        let members = members.iter().cloned();
        key.extend(members.map(|(name, value)| (name.to_owned(), value)));
    }
    HttpResponse::Ok().json(jwks)
}

/// OpenID Connect Core §5.3; the token comes in the header only.
pub(super) async fn userinfo(request: HttpRequest, idp: Data<Shared>) -> HttpResponse {
    idp.observed().userinfo += 1;
    if let Some(failure) = endpoint_fault(&idp, |fault| match fault {
        Fault::Userinfo(fault) => Some(*fault),
        _ => None,
    })
    .await
    {
        return failure;
    }
    let (scheme, token) = authorization(&request).unwrap_or_default();
    let key = if scheme.eq_ignore_ascii_case("dpop") {
        match idp.proofs.check(&request, &idp.issuer, Some(token)) {
            Ok(proof) => proof.map(|proof| proof.thumbprint),
            Err(refusal) => return without_proof(&idp, refusal),
        }
    } else {
        None
    };
    let user = idp
        .store()
        .access_token(token, idp.now())
        .filter(|(grant, _)| grant.thumbprint == key)
        .map(|(grant, _)| grant.sign_on.user);
    match user {
        Some(user) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({
                "sub": user.sub, "name": user.name, "email": user.email, "roles": user.roles,
            })),
        None => HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""))
            .finish(),
    }
}

/// RFC 9449 §9: what a resource server answers.
fn without_proof(idp: &Shared, refusal: Refusal) -> HttpResponse {
    let error = match refusal {
        Refusal::Nonce => "use_dpop_nonce",
        Refusal::Wrong(_) => "invalid_token",
    };
    let mut answer = HttpResponse::Unauthorized();
    answer.insert_header((header::WWW_AUTHENTICATE, format!("DPoP error=\"{error}\"")));
    if let Some(nonce) = idp.proofs.nonce() {
        answer.insert_header(("dpop-nonce", nonce));
    }
    answer.finish()
}

/// What the injected faults of an endpoint make of this request.
pub(super) async fn endpoint_fault(
    idp: &Shared,
    kind: impl Fn(&Fault) -> Option<EndpointFault>,
) -> Option<HttpResponse> {
    for fault in idp.faults.take(kind) {
        if let Some(failure) = fail(fault).await {
            return Some(failure);
        }
    }
    None
}

/// This status and body.
pub(super) fn answer(status: u16, body: String) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    HttpResponse::build(status)
        .content_type("application/json")
        .body(body)
}

fn of_text(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(text)
}

pub(super) async fn fail(fault: EndpointFault) -> Option<HttpResponse> {
    match fault {
        EndpointFault::Down => Some(HttpResponse::ServiceUnavailable().finish()),
        EndpointFault::Huge => Some(of_text(format!(
            "{{\"padding\":\"{}\"}}",
            "x".repeat(2 << 20)
        ))),
        EndpointFault::Slow(delay) => {
            actix_web::rt::time::sleep(delay).await;
            None
        }
        EndpointFault::Status(status) => Some(answer(status, String::new())),
        EndpointFault::Truncated => Some(of_text("{\"issuer\":\"http".to_owned())),
    }
}
