//! A small actix server on 127.0.0.1, in a thread of its own. Dropped, it stops.
//!
//! The identity provider and the API each run on one. With threads of their own they do not share the actix system of the
//! application or of a test, so that neither waits for the other.
//!
//! # Invariants
//! - It never listens on an address that other machines can reach.
//! - After [`Loopback::stop`] the port is closed, the thread has ended, and open streams are cut.

use std::any::Any;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::rt::System;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpRequest, HttpServer};

/// How long a stop waits for running requests, in seconds. actix cuts them at once anyway.
const STOP_SECS: u64 = 1;

pub(super) struct Loopback {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Loopback {
    /// Binds 127.0.0.1 and `port` (0: any free one).
    pub(super) fn bind(port: u16) -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
    }

    /// Serves until it is stopped.
    pub(super) fn serve(
        name: &str,
        listener: TcpListener,
        services: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (started, wait) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                System::new().block_on(async move {
                    let server = HttpServer::new(move || App::new().configure(services.clone()))
                        .workers(1)
                        .disable_signals()
                        .shutdown_timeout(STOP_SECS)
                        .on_connect(RawConnection::keep)
                        .listen(listener)?
                        .run();
                    // The receiver is gone only if the caller is. Then nobody can stop this server, either.
                    if started.send(server.handle()).is_err() {
                        return Ok(());
                    }
                    server.await
                })
            })?;
        match wait.recv() {
            Ok(handle) => Ok(Self {
                address,
                handle,
                thread: Some(thread),
            }),
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("the loopback server did not start"),
            }),
        }
    }

    /// The address on which it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and cuts open connections.
    pub(super) fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The call sends the command. The future would only say when it is done, as the join does.
            drop(self.handle.stop(false));
            if let Ok(Err(error)) | Err(error) = thread
                .join()
                .map_err(|_| io::Error::other("the thread panicked"))
            {
                log::warn!("a server of the demo ended with an error: {error}");
            }
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The connection below HTTP, for faults that a correct server does not have.
pub(super) struct RawConnection(TcpStream);

impl RawConnection {
    /// The connection a request came on.
    pub(super) fn of(request: &HttpRequest) -> Option<&Self> {
        request.conn_data::<Self>()
    }

    /// Sends bytes before actix answers.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    /// Closes the connection, so that no answer arrives.
    pub(super) fn cut(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Both)
    }

    fn keep(connection: &dyn Any, data: &mut Extensions) {
        let duplicate = connection
            .downcast_ref::<actix_web::rt::net::TcpStream>()
            .and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        if let Some(socket) = duplicate {
            data.insert(Self(TcpStream::from(socket)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use actix_web::{HttpResponse, web};

    use super::*;

    #[test]
    fn a_stopped_server_is_gone_within_a_second_even_with_a_request_under_way() {
        let listener = Loopback::bind(0).unwrap();
        let mut server = Loopback::serve("stop-test", listener, |services| {
            services.default_service(web::to(|| async {
                actix_web::rt::time::sleep(Duration::from_mins(1)).await;
                HttpResponse::Ok().finish()
            }));
        })
        .unwrap();
        let address = server.address();
        assert!(address.ip().is_loopback());
        let mut client = TcpStream::connect(address).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        thread::sleep(Duration::from_millis(50));
        let begin = Instant::now();
        server.stop();
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert!(TcpStream::connect(address).is_err());
    }
}
