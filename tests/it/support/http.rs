//! HTTP/1.1 by hand: one request on one connection, every byte of the answer kept.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// A request as it goes on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            let _ = write!(text, "content-length: {}\r\n", self.body.len());
        }
        text.push_str("connection: close\r\n\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the answer to its end.
    pub fn send(&self, addr: SocketAddr) -> Response {
        Response::parse(&self.exchange(addr), &self.method)
    }

    /// The same over TLS, to a server of this name.
    pub fn send_tls(&self, addr: SocketAddr, name: &str, client: &Arc<ClientConfig>) -> Response {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let client = ClientConnection::new(Arc::clone(client), name).expect("a client");
        let stream = StreamOwned::new(client, connect(addr));
        Response::parse(&talk(stream, &self.bytes()), &self.method)
    }

    /// Sends it and waits for nothing.
    pub fn begin(&self, addr: SocketAddr) -> TcpStream {
        let mut stream = connect(addr);
        stream.write_all(&self.bytes()).expect("it is sent");
        stream
    }

    /// Sends it and gives whatever comes back.
    pub fn exchange(&self, addr: SocketAddr) -> Vec<u8> {
        raw(addr, &self.bytes())
    }
}

/// Sends bytes, and reads until the other side closes (or ten seconds pass).
pub fn raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    talk(connect(addr), bytes)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    stream
}

fn talk(mut stream: impl Read + Write, bytes: &[u8]) -> Vec<u8> {
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return answer,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
        }
    }
}

/// An answer, its body decoded, and the bytes it came in.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub raw: Vec<u8>,
    /// Whether the body came to its announced end.
    pub complete: bool,
}

impl Response {
    /// The first of several answers on a connection, and what follows it.
    pub fn first<'b>(bytes: &'b [u8], method: &str) -> (Self, &'b [u8]) {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, rest) = bytes.split_at(end.expect("a header section") + 4);
        let answer = Self::parse(head, method);
        let len = if method == "HEAD" {
            0
        } else if answer.header("transfer-encoding") == Some("chunked") {
            let end = b"0\r\n\r\n";
            let at = rest.windows(end.len()).position(|window| window == end);
            at.map_or(rest.len(), |at| at + end.len())
        } else {
            let length = answer.header("content-length").unwrap_or("0");
            length.parse::<usize>().expect("a length").min(rest.len())
        };
        let (answer, rest) = bytes.split_at(head.len() + len);
        (Self::parse(answer, method), rest)
    }

    /// What comes back for a request that was [begun](Request::begin).
    pub fn receive(mut stream: TcpStream, method: &str) -> Self {
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).expect("an answer");
        Self::parse(&raw, method)
    }

    pub fn parse(raw: &[u8], method: &str) -> Self {
        let end = raw
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no header section: {:?}", String::from_utf8_lossy(raw)));
        let head = String::from_utf8_lossy(&raw[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            status: status.parse().expect("a numeric status"),
            headers,
            body: raw[end + 4..].to_vec(),
            raw: raw.to_vec(),
            complete: true,
        };
        if method == "HEAD" {
            return response;
        }
        if response
            .header("transfer-encoding")
            .is_some_and(|value| value == "chunked")
        {
            (response.body, response.complete) = unchunk(&response.body);
        } else if let Some(length) = response.header("content-length") {
            response.complete = length.parse::<usize>().ok() == Some(response.body.len());
        }
        response
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, v)| v.as_str())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text()))
    }

    /// The problem code, after the whole form of the problem has been checked (RFC 9457).
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text()
        );
        let body = self.json();
        let code = body["code"].as_str().expect("a code").to_owned();
        assert_eq!(body["type"], format!("urn:sealgate:problem:{code}"));
        assert_eq!(body["status"], self.status);
        assert!(body["title"].is_string() && body["instance"].is_string());
        assert_eq!(self.header("cache-control"), Some("no-store"));
        code
    }
}

fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") else {
            return (body, false);
        };
        let size = String::from_utf8_lossy(&bytes[..line]).into_owned();
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)
        else {
            return (body, false);
        };
        bytes = &bytes[line + 2..];
        if size == 0 {
            return (body, true);
        }
        if bytes.len() < size + 2 {
            body.extend_from_slice(bytes);
            return (body, false);
        }
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}
