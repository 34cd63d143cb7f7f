//! A browser as far as cookies, redirects and Fetch Metadata go, and strict where browsers are.
//!
//! It believes that `https://shop.test` is TLS; its connections go to the plain listener of the server under test,
//! as they would behind a balancer that terminates TLS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ClientConfig;
use url::Url;

use super::http::{Request, Response};

/// One cookie in the jar.
#[derive(Clone, Debug, PartialEq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub host: String,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: String,
    order: usize,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initiator {
    /// A page of the same origin.
    SameOrigin,
    /// A page of another site.
    CrossSite,
    /// The address bar.
    User,
}

pub struct Browser {
    hosts: HashMap<String, SocketAddr>,
    pub jar: Vec<Cookie>,
    /// All bytes received from the application (not from the identity provider).
    seen: Arc<Mutex<Vec<u8>>>,
    app: Url,
    sequence: usize,
    tls: Option<Arc<ClientConfig>>,
    /// An address that an app of the device takes over: a redirect there is not followed.
    pub leaves_to: Option<String>,
}

/// The last answer of a chain of redirects, and the addresses on the way.
#[derive(Debug)]
pub struct Visit {
    pub url: Url,
    pub response: Response,
    pub chain: Vec<(Url, Response)>,
}

impl Browser {
    pub fn new(app: &str, addr: SocketAddr, seen: Arc<Mutex<Vec<u8>>>) -> Self {
        let app = Url::parse(app).expect("an origin");
        let hosts = HashMap::from([(authority(&app), addr)]);
        Self {
            hosts,
            jar: Vec::new(),
            seen,
            app,
            sequence: 0,
            tls: None,
            leaves_to: None,
        }
    }

    pub fn app(&self) -> &Url {
        &self.app
    }

    /// Makes a second name lead to an address.
    pub fn resolve(&mut self, authority: &str, addr: SocketAddr) {
        self.hosts.insert(authority.to_owned(), addr);
    }

    /// Speaks TLS where an address begins with `https:`, instead of to a listener behind it.
    pub fn speak_tls(&mut self, client: Arc<ClientConfig>) {
        self.tls = Some(client);
    }

    /// A script of the application calls `fetch` with the anti-forgery header.
    pub fn fetch(&mut self, method: &str, path: &str) -> Response {
        self.send(Request::new(method, path).header("x-csrf", "1"))
    }

    /// A script of the application calls `fetch` just so; headers of Fetch Metadata are added.
    pub fn send(&mut self, request: Request) -> Response {
        let url = self.app.join(&request.target).expect("a path");
        let mut request = request
            .header("accept", "*/*")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty");
        if request.method != "GET" && request.method != "HEAD" {
            let origin = self.app.origin().ascii_serialization();
            request = request.header("origin", &origin);
        }
        self.exchange(&url, request, Initiator::SameOrigin, false)
    }

    /// A script of the application sends exactly these headers (and the cookies).
    pub fn send_bare(&mut self, request: Request) -> Response {
        let url = self.app.join(&request.target).expect("a path");
        self.exchange(&url, request, Initiator::SameOrigin, false)
    }

    /// Follows a link or a typed address through all redirects.
    pub fn navigate(&mut self, address: &str, initiator: Initiator) -> Visit {
        let url = self.app.join(address).expect("an address");
        self.follow(url, "GET", Vec::new(), initiator)
    }

    /// Sends a form of the page at `url`.
    pub fn submit(&mut self, url: &Url, fields: &[(&str, &str)], initiator: Initiator) -> Visit {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish()
            .into_bytes();
        self.follow(url.clone(), "POST", body, initiator)
    }

    fn follow(&mut self, url: Url, method: &str, body: Vec<u8>, initiator: Initiator) -> Visit {
        let mut chain: Vec<(Url, Response)> = Vec::new();
        let (mut url, mut method, mut body) = (url, method.to_owned(), body);
        let mut initiator = initiator;
        for _ in 0..15 {
            let site = match initiator {
                Initiator::CrossSite => "cross-site",
                Initiator::SameOrigin => "same-origin",
                Initiator::User => "none",
            };
            let mut request = Request::new(&method, &target(&url))
                .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
                .header("sec-fetch-site", site)
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document");
            if !body.is_empty() {
                request = request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body.clone());
            }
            let response = self.exchange(&url, request, initiator, true);
            let location = response.header("location").map(str::to_owned);
            chain.push((url.clone(), response.clone()));
            match (response.status, location) {
                (301..=303 | 307 | 308, Some(location)) => {
                    let next = url.join(&location).expect("a Location");
                    if self
                        .leaves_to
                        .as_ref()
                        .is_some_and(|app| location.starts_with(app))
                    {
                        url = next;
                        return Visit {
                            url,
                            response,
                            chain,
                        };
                    }
                    // A chain that has crossed sites stays cross-site (RFC 6265bis §5.2).
                    if next.host_str() != url.host_str() {
                        initiator = Initiator::CrossSite;
                    }
                    if !matches!(response.status, 307 | 308) {
                        method = "GET".to_owned();
                        body.clear();
                    }
                    url = next;
                }
                _ => {
                    return Visit {
                        url,
                        response,
                        chain,
                    };
                }
            }
        }
        panic!(
            "a redirect loop: {:?}",
            chain
                .iter()
                .map(|(url, _)| url.as_str())
                .collect::<Vec<_>>()
        );
    }

    fn exchange(
        &mut self,
        url: &Url,
        request: Request,
        initiator: Initiator,
        navigation: bool,
    ) -> Response {
        let authority = authority(url);
        let addr = match self.hosts.get(&authority) {
            Some(addr) => *addr,
            None => authority
                .parse()
                .unwrap_or_else(|_| panic!("unknown host {authority}")),
        };
        let cookies = self.cookie_line(url, &request.method, initiator, navigation);
        let mut request = request;
        request
            .headers
            .insert(0, ("host".to_owned(), authority.clone()));
        if !cookies.is_empty() {
            request = request.header("cookie", &cookies);
        }
        let response = match &self.tls {
            Some(client) if url.scheme() == "https" => {
                request.send_tls(addr, url.host_str().unwrap_or_default(), client)
            }
            _ => request.send(addr),
        };
        if authority == self::authority(&self.app) {
            self.seen
                .lock()
                .unwrap()
                .extend_from_slice(&visible(&response));
        }
        for line in response.headers("set-cookie") {
            self.store(url, line);
        }
        response
    }

    /// The `Cookie` line for a request (RFC 6265bis §5.8.3).
    pub fn cookie_line(
        &self,
        url: &Url,
        method: &str,
        initiator: Initiator,
        navigation: bool,
    ) -> String {
        let host = url.host_str().unwrap_or_default();
        let mut cookies: Vec<&Cookie> = self
            .jar
            .iter()
            .filter(|cookie| {
                let same_site = initiator != Initiator::CrossSite
                    || match cookie.same_site.as_str() {
                        "Lax" => navigation && method == "GET",
                        "None" => true,
                        _ => false,
                    };
                let below = url.path() == cookie.path
                    || url
                        .path()
                        .starts_with(&format!("{}/", cookie.path.trim_end_matches('/')));
                cookie.host == host
                    && below
                    && same_site
                    && (!cookie.secure || url.scheme() == "https")
            })
            .collect();
        cookies.sort_by_key(|cookie| (std::cmp::Reverse(cookie.path.len()), cookie.order));
        cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The `Cookie` line of a same-origin call to an API.
    pub fn api_cookie_line(&self, path: &str) -> String {
        let url = self.app.join(path).expect("a path");
        self.cookie_line(&url, "GET", Initiator::SameOrigin, false)
    }

    /// Takes the cookies of an answer of the application that came by another way.
    pub fn take(&mut self, answer: &Response) {
        let app = self.app.clone();
        for line in answer.headers("set-cookie") {
            self.store(&app, line);
        }
    }

    /// The rules by which browsers take or drop a `Set-Cookie` (RFC 6265bis §5.7). A drop is a bug of ours.
    fn store(&mut self, url: &Url, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts
            .next()
            .and_then(|pair| pair.split_once('='))
            .expect("a cookie");
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            path: String::new(),
            secure: false,
            http_only: false,
            same_site: String::new(),
            order: self.sequence,
        };
        self.sequence += 1;
        let (mut max_age, mut domain) = (None, false);
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => cookie.same_site = value.to_owned(),
                "max-age" => max_age = value.parse::<i64>().ok(),
                "domain" => domain = true,
                "expires" => {}
                other => panic!("unexpected cookie attribute {other} in {line}"),
            }
        }
        let of_sealgate = name.starts_with("__") || name.starts_with("sealgate-");
        if of_sealgate && authority(url) == authority(&self.app) {
            assert!(
                name.len() + value.len() <= 4096,
                "a cookie that browsers drop: {name}"
            );
            assert!(!domain, "Domain must not be set: {line}");
            assert!(cookie.http_only && !cookie.same_site.is_empty(), "{line}");
            if name.starts_with("__Host-") {
                assert!(
                    cookie.secure && cookie.path == "/",
                    "the prefix is violated: {line}"
                );
            }
            if name.starts_with("__") {
                assert!(cookie.secure, "the prefix is violated: {line}");
            }
        }
        self.jar.retain(|old| {
            !(old.name == cookie.name && old.host == cookie.host && old.path == cookie.path)
        });
        if max_age.is_none_or(|seconds| seconds > 0) {
            self.jar.push(cookie);
        }
    }

    /// The names of the application's cookies, sorted.
    pub fn cookie_names(&self) -> Vec<String> {
        let host = self.app.host_str().unwrap_or_default();
        let mut names: Vec<String> = self
            .jar
            .iter()
            .filter(|cookie| cookie.host == host)
            .map(|cookie| cookie.name.clone())
            .collect();
        names.sort();
        names
    }

    pub fn cookie(&self, name: &str) -> Option<&Cookie> {
        self.jar.iter().find(|cookie| cookie.name == name)
    }
}

/// What script could see of an answer; a redirect to the end session endpoint is a navigation's own business.
fn visible(response: &Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in &response.headers {
        if name == "location" && value.contains("id_token_hint=") {
            continue;
        }
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(&response.body);
    bytes
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn target(url: &Url) -> String {
    url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    )
}
