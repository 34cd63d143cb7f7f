//! A proxy for HTTP, as companies have them between their networks and the internet.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// It relays what has an absolute address (RFC 9112 §3.2.2), makes tunnels (RFC 9110 §9.3.6), and remembers each head. Its
/// threads end with the test's process.
pub struct HttpProxy {
    pub addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    /// Without these credentials, in base64, it answers 407.
    pub fn start(credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(client, credentials, &kept));
            }
        });
        Self { addr, heads }
    }

    /// The heads that came so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    mut client: TcpStream,
    credentials: Option<&str>,
    heads: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap().push(head.clone());
    let shown = credentials.map(|wanted| format!("proxy-authorization: basic {wanted}"));
    let has = |line: &str| head.to_lowercase().contains(&line.to_lowercase());
    if shown.is_some_and(|line| !has(&line)) {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    }
    let mut words = head.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let server = if method == "CONNECT" {
        let Ok(server) = TcpStream::connect(target) else {
            return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        };
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        server
    } else {
        let rest = target.strip_prefix("http://").unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut server = TcpStream::connect(authority)?;
        let relayed = head.replacen(target, &format!("/{path}"), 1);
        server.write_all(relayed.as_bytes())?;
        server
    };
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut up, &mut down));
    let (mut server, mut client) = (server, client);
    io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}
