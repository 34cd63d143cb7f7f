//! Somebody who has copied the application's cookies, and uses them without the browser that they belong to.
//!
//! Cookies know no ports, so the browser sends the application's cookies to this server, too. It stands for whoever takes them
//! off a computer: malware, a backup, a log that should not have had them.
//!
//! # Invariants
//! - No answer holds a cookie, and nothing keeps one.

use std::io;
use std::net::Ipv4Addr;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Stage;

/// Where the hostile page asks for it.
pub(super) const PATH: &str = "/elsewhere/copy";

/// Calls the application's API with the cookies of this request. sealgate's log tells how it was answered.
pub(super) async fn used(request: HttpRequest, stage: Data<Stage>) -> HttpResponse {
    let cookies = request.headers().get(header::COOKIE);
    let cookies = cookies
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match call(&stage.origin, cookies).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(_) => HttpResponse::BadGateway().finish(),
    }
}

async fn call(origin: &str, cookies: &str) -> io::Result<()> {
    let host = origin.trim_start_matches("http://");
    let port = host
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let port: u16 = port.ok_or(io::ErrorKind::InvalidInput)?;
    let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!(
        "GET /api/echo/copied HTTP/1.1\r\nhost: {host}\r\nx-csrf: 1\r\ncookie: {cookies}\r\nconnection: close\r\n\r\n"
    );
    line.write_all(request.as_bytes()).await?;
    line.read_to_end(&mut Vec::new()).await.map(drop)
}
