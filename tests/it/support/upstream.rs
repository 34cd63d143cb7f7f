//! An API that misbehaves: raw bytes on a socket, one thread a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One connection, request by request.
pub struct Talk {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// Which connection this is, from 0.
    pub number: usize,
}

impl Talk {
    /// The next request's head, or `None` when the other side is done.
    pub fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            let before = head.len();
            match self.reader.read_line(&mut head) {
                Ok(0) | Err(_) => return None,
                Ok(_) if &head[before..] == "\r\n" => return Some(head),
                Ok(_) => {}
            }
        }
    }

    /// Sends bytes as they are.
    pub fn say(&mut self, bytes: &str) {
        self.send(bytes.as_bytes());
    }

    /// Sends bytes that are no text.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes);
        let _ = self.writer.flush();
    }

    /// Each piece goes out at once, however small.
    pub fn without_delay(&mut self) {
        self.writer.set_nodelay(true).expect("an option");
    }

    /// Sends bytes; whether anybody took them.
    pub fn try_say(&mut self, bytes: &str) -> bool {
        self.writer.write_all(bytes.as_bytes()).is_ok()
    }

    /// What has arrived next; nothing at the end.
    pub fn hear(&mut self) -> Vec<u8> {
        let heard = self.reader.fill_buf().unwrap_or_default().to_vec();
        self.reader.consume(heard.len());
        heard
    }

    /// Sends until `most` is sent or nobody takes more for a while; gives how much was taken.
    pub fn flood(&mut self, most: usize, patience: Duration) -> usize {
        self.writer.set_write_timeout(Some(patience)).unwrap();
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < most {
            match self.writer.write(&piece) {
                Ok(n @ 1..) => sent += n,
                _ => break,
            }
        }
        sent
    }

    /// Sends no more, and goes on listening.
    pub fn half_close(&mut self) {
        let _ = self.writer.shutdown(Shutdown::Write);
    }

    /// Ends the connection without a goodbye.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.writer);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A listening upstream. Its threads end with their connections.
pub struct RawUpstream {
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl RawUpstream {
    pub fn start(serve: impl Fn(Talk) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let serve = Arc::new(serve);
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || {
                    let reader = BufReader::new(stream.try_clone().expect("a second handle"));
                    serve(Talk {
                        reader,
                        writer: stream,
                        number,
                    });
                });
            }
        });
        Self { addr, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The tables that make `/raw` of the frontend lead here, with the user's token.
    pub fn route(&self, more: &str) -> String {
        format!(
            r#"
[upstream.raw]
url = "http://{}/base"
timeout = "1s"
idle_timeout = "2s"
[frontend.shop.route.raw]
path = "/raw"
upstream = "raw"
token = "user"
{more}
"#,
            self.addr
        )
    }
}

/// An API behind TLS with this certificate. It answers `ok` to each request.
pub fn tls_upstream(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> SocketAddr {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            std::thread::spawn(move || {
                let mut heard = Vec::new();
                let mut piece = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut piece) {
                    heard.extend_from_slice(&piece[..n]);
                    if heard.ends_with(b"\r\n\r\n") {
                        let _ = stream.write_all(OK.as_bytes());
                        heard.clear();
                    }
                }
            });
        }
    });
    addr
}
