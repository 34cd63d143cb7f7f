//! `/end_session` (OpenID Connect RP-Initiated Logout 1.0).

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use url::Url;

use super::params::{Params, cookie};
use super::{Shared, login, pages};

pub(super) async fn by_query(request: HttpRequest, idp: Data<Shared>) -> HttpResponse {
    end_session(&request, request.query_string().as_bytes(), &idp)
}

/// RP-Initiated Logout §2 has both methods.
pub(super) async fn by_form(request: HttpRequest, body: Bytes, idp: Data<Shared>) -> HttpResponse {
    end_session(&request, &body, &idp)
}

fn end_session(request: &HttpRequest, params: &[u8], idp: &Shared) -> HttpResponse {
    idp.observed().end_session += 1;
    let Ok(params) = Params::parse(params) else {
        return pages::error("A parameter comes twice.");
    };
    let hint = params.one("id_token_hint").map(|hint| hinted(idp, hint));
    let sid_of_cookie = idp
        .store()
        .signed_on(cookie(request, login::SESSION_COOKIE), idp.now())
        .map(|sign_on| sign_on.sid.clone());
    let (sid, client_id) = match hint {
        Some(None) => return pages::error("The id_token_hint is not one of ours."),
        Some(Some(hint)) => {
            if params
                .one("client_id")
                .is_some_and(|id| id != hint.client_id)
            {
                return pages::error("client_id and id_token_hint belong to different clients.");
            }
            (Some(hint.sid), Some(hint.client_id))
        }
        // Without a hint anybody's page may have sent the browser here: ask the person (§2).
        None if params.one("confirm").is_some()
            && params.one("confirm") == sid_of_cookie.as_deref() =>
        {
            (sid_of_cookie.clone(), params.owned("client_id"))
        }
        None => match &sid_of_cookie {
            Some(sid) => return pages::confirm_logout(sid, &params),
            None => (None, params.owned("client_id")),
        },
    };
    if let Some(sid) = &sid {
        idp.store().sign_off(sid);
    }
    let mut response = leave(idp, client_id.as_deref(), &params);
    if sid_of_cookie.is_some() && sid == sid_of_cookie {
        login::set_cookie(&mut response, login::SESSION_COOKIE, "", "; Max-Age=0");
    }
    response
}

struct Hint {
    sid: String,
    client_id: String,
}

/// An ID token that we signed, expired or not (RP-Initiated Logout §2).
fn hinted(idp: &Shared, id_token: &str) -> Option<Hint> {
    let claims: Map<String, Value> = idp.keys().verify(id_token)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    (text("iss")? == idp.issuer).then_some(Hint {
        sid: text("sid")?,
        client_id: text("aud").or_else(|| Some(claims.get("aud")?.get(0)?.as_str()?.to_owned()))?,
    })
}

fn leave(idp: &Shared, client_id: Option<&str>, params: &Params) -> HttpResponse {
    let Some(uri) = params.one("post_logout_redirect_uri") else {
        return pages::signed_out();
    };
    let registered = client_id.is_some_and(|id| {
        idp.store().clients.get(id).is_some_and(|client| {
            client
                .post_logout_redirect_uris
                .iter()
                .any(|known| known == uri)
        })
    });
    match Url::parse(uri) {
        Ok(mut location) if registered => {
            if let Some(state) = params.one("state") {
                location.query_pairs_mut().append_pair("state", state);
            }
            HttpResponse::SeeOther()
                .insert_header((header::LOCATION, location.as_str()))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish()
        }
        _ => pages::error("You are signed out, but post_logout_redirect_uri is not registered."),
    }
}
