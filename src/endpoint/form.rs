//! Parameters: of a query, and of a form in a request's body.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::header::{self, HeaderMap};

use crate::message::Payload;
use crate::problem::Problem;
use crate::request::Ctx;

/// Longest form, in bytes. The identity provider posts a code and a state, or one token; an app its refresh token.
const MAX_FORM: usize = 16 * 1024;

/// How long a form may take to arrive.
const FORM_PATIENCE: Duration = Duration::from_secs(10);

/// Names and values, in the order in which they came.
pub(super) type Params = [(String, String)];

/// Why a form could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FormError {
    BrokenOff,
    TooLate,
    TooLong,
}

impl FormError {
    /// What went wrong, in words that the client may see.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::BrokenOff => "the body broke off",
            Self::TooLate => "the body did not come in time",
            Self::TooLong => "the body is too long",
        }
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        match error {
            FormError::TooLong => Self::BodyTooLarge,
            FormError::BrokenOff | FormError::TooLate => Self::BadRequest(error.sentence()),
        }
    }
}

/// Whether the body is said to be a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|text| text.split(';').next());
    media_type.is_some_and(|media_type| {
        media_type
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Reads a form from the body of a request.
pub(super) async fn read(body: Payload) -> Result<Vec<(String, String)>, FormError> {
    let form = tokio::time::timeout(FORM_PATIENCE, bytes(body)).await;
    Ok(parse(&form.unwrap_or(Err(FormError::TooLate))?))
}

async fn bytes(mut body: Payload) -> Result<Vec<u8>, FormError> {
    let mut form = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|_| FormError::BrokenOff)?;
        if form.len() + bytes.len() > MAX_FORM {
            return Err(FormError::TooLong);
        }
        form.extend_from_slice(&bytes);
    }
    Ok(form)
}

/// The parameters of the request's query.
pub(super) fn query(ctx: &Ctx<'_>) -> Vec<(String, String)> {
    parse(ctx.request.uri().query().unwrap_or_default().as_bytes())
}

fn parse(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

/// The value of a parameter, which must not be there twice (RFC 6749 §3.1).
pub(super) fn single(params: &Params, name: &str) -> Result<Option<String>, Repeated> {
    let mut values = params
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Repeated),
        (first, None) => Ok(first.cloned()),
    }
}

/// A parameter came more than once.
#[derive(Debug)]
pub(super) struct Repeated;

impl From<Repeated> for Problem {
    fn from(_: Repeated) -> Self {
        Self::BadRequest("a parameter is repeated")
    }
}
