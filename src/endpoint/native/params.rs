//! The parameters that apps send.

use http::header;

use super::error::OAuthError;
use crate::endpoint::form::{self, single};
use crate::message::Payload;
use crate::request::Ctx;

/// A form, or a query.
pub(super) struct Params(pub(super) Vec<(String, String)>);

impl Params {
    /// Reads the form in a request's body (RFC 6749 Appendix B).
    pub(super) async fn read(ctx: &Ctx<'_>, body: Payload) -> Result<Self, OAuthError> {
        if !form::is_form(ctx.request.headers()) {
            return Err(OAuthError::invalid_request("the body is not a form"));
        }
        Ok(Self(form::read(body).await?))
    }

    /// A value that may be left out. One without content counts as left out (RFC 6749 §3.2).
    pub(super) fn optional(&self, name: &str) -> Result<Option<String>, OAuthError> {
        let value = single(&self.0, name)?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// A value that must be there.
    pub(super) fn required(&self, name: &str, without: &'static str) -> Result<String, OAuthError> {
        self.optional(name)?
            .ok_or(OAuthError::invalid_request(without))
    }

    /// Checks who the app says to be. It is a public client, so it has nothing to prove it by (RFC 6749 §2.1, §3.2.1).
    pub(super) fn check_client(&self, ctx: &Ctx<'_>) -> Result<Option<String>, OAuthError> {
        let has_secret = self.optional("client_secret")?.is_some()
            || self.optional("client_assertion")?.is_some()
            || ctx.request.headers().contains_key(header::AUTHORIZATION);
        if has_secret {
            return Err(OAuthError::invalid_client(
                "apps are public clients: they authenticate with nothing but client_id",
            ));
        }
        let client_id = self.optional("client_id")?;
        if client_id
            .as_ref()
            .is_some_and(|id| *id != ctx.frontend.name.as_str())
        {
            return Err(OAuthError::invalid_client("there is no such client"));
        }
        Ok(client_id)
    }
}
