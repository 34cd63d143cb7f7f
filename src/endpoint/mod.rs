//! The management endpoints below `base_path`: one file each, the whole flow readable in it.
//!
//! [`Endpoint::rules`] says what each of them is. Their answers are never proxied and never cached, and contain no token.

mod audit;
mod authorization_response;
mod backchannel;
mod callback;
mod client;
mod device;
mod device_messages;
mod events;
mod failure;
mod form;
mod initiation;
mod jwks;
mod login;
mod logout;
mod native;
mod redeem;
mod session;
mod silent;
mod times;
mod undone;
mod user;
mod way_back;

use actix_web::HttpResponse;

use crate::frontend::Endpoint;
use crate::guard::Admitted;
use crate::message::Payload;
use crate::problem::Problem;
use crate::request::Ctx;

/// Answers one request to an endpoint.
pub async fn serve(
    endpoint: Endpoint,
    admitted: Admitted,
    ctx: &mut Ctx<'_>,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    match endpoint {
        Endpoint::Backchannel => backchannel::serve(&admitted, ctx, body).await,
        Endpoint::Callback => callback::serve(ctx, body).await,
        Endpoint::Device => device::register(ctx).await,
        Endpoint::DeviceRefresh => device::refresh(ctx).await,
        Endpoint::ClientModule => Ok(client::module(ctx)),
        Endpoint::ClientTypes => Ok(client::types(ctx)),
        Endpoint::Events => events::serve(ctx),
        Endpoint::Jwks => jwks::serve(ctx),
        Endpoint::LoggedOut => Ok(logout::landing(ctx)),
        Endpoint::Login => login::serve(ctx).await,
        Endpoint::LoginInitiation => login::by_form(ctx, body).await,
        Endpoint::Logout => logout::by_navigation(ctx).await,
        Endpoint::LogoutByScript => logout::by_script(ctx).await,
        Endpoint::NativeAuthorize => native::authorize(ctx).await,
        Endpoint::NativeMetadata => Ok(native::metadata(ctx)),
        Endpoint::NativeRevoke => native::revoke(ctx, body).await,
        Endpoint::NativeToken => native::token(ctx, body).await,
        Endpoint::Session => Ok(session::serve(ctx)),
        Endpoint::SilentLogin => Ok(login::serve_silent(ctx).await),
        Endpoint::User => user::serve(ctx),
    }
}
