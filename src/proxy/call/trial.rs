//! Whether upstreams answer: for `--check --online`.

use std::time::Duration;

use http::Request;
use http::header::HOST;

use super::upstream::cause;
use super::{Upstreams, bodiless};
use crate::names::UpstreamName;

impl Upstreams {
    /// Asks each upstream for its base once, over TLS where its URL says so. Any status is an answer. Gives those that do not
    /// answer, and why.
    pub async fn silent(&self, patience: Duration) -> Vec<(UpstreamName, String)> {
        let mut silent = Vec::new();
        for upstream in self.all() {
            let mut request = Request::new(());
            if let Ok(uri) = upstream.base.uri("", None) {
                *request.uri_mut() = uri;
            }
            request
                .headers_mut()
                .insert(HOST, upstream.base.host.clone());
            let asked = upstream.pool.send_alone(bodiless(request));
            let why = match tokio::time::timeout(patience, asked).await {
                Ok(Ok(_)) => continue,
                Ok(Err(failure)) => cause(&failure),
                Err(_) => format!("no answer in {} s", patience.as_secs()),
            };
            silent.push((upstream.name.clone(), why));
        }
        silent
    }
}
