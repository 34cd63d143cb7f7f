//! The simplest reverse proxy on hyper: what a proxy costs that does nothing else.
//!
//! `bare_hyper LISTEN UPSTREAM`, both `address:port`. One thread, the same client as sealgate's (hyper-util's pool), and
//! the C library's allocator. It forwards every header but those of the connection, and has no limits and no timeouts:
//! this is for benchmarks only.

use std::convert::Infallible;
use std::error::Error;

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST};
use hyper::http::uri::{Authority, Parts, Scheme};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Body = Either<Incoming, Empty<Bytes>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bare_hyper LISTEN UPSTREAM".into());
    };
    let upstream: Authority = upstream.parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(&listen, upstream))
}

async fn serve(listen: &str, upstream: Authority) -> Result<(), Box<dyn Error>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| forward(&client, &upstream, request));
            // A client that goes away is no news here.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn forward(
    client: &Client<HttpConnector, Incoming>,
    upstream: &Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut target = Parts::default();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(upstream.clone());
    target.path_and_query = request.uri().path_and_query().cloned();
    let answer = match Uri::from_parts(target) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            request.headers_mut().remove(CONNECTION);
            request.headers_mut().remove(HOST);
            client.request(request).await.ok()
        }
        Err(_) => None,
    };
    Ok(answer.map_or_else(bad_gateway, |mut answer| {
        answer.headers_mut().remove(CONNECTION);
        answer.map(Either::Left)
    }))
}

fn bad_gateway() -> Response<Body> {
    let mut answer = Response::new(Either::Right(Empty::new()));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
