//! The connections themselves, before and beside the requests on them.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;

use crate::support::process::{Process, eventually};
use crate::support::{ORIGIN, Site};
use crate::tls;

/// The process's own end of a connection from `client`.
fn accepted(process: &Process, client: SocketAddr) -> Option<Socket> {
    let pid = Pid::from_raw(i32::try_from(process.id()).ok()?)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a running process");
    let fds = std::fs::read_dir(format!("/proc/{}/fd", process.id())).expect("its descriptors");
    let copies = fds.filter_map(|entry| {
        let fd = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let copy: OwnedFd = pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).ok()?;
        Some(Socket::from(copy))
    });
    let mut copies = copies.filter(|socket| {
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        peer == Some(client)
    });
    copies.next()
}

#[test]
fn answers_leave_at_once_on_every_listener() {
    // T1: with Nagle's algorithm the last segment of an answer waits for a delayed acknowledgement, 40 ms and more.
    let plain = Site::with(ORIGIN, "", "");
    let (encrypted, _) = tls::site();
    for (site, name) in [(plain, "plain"), (encrypted, "TLS")] {
        let server = site.serve();
        for (listener, addr) in [("public", server.addr), ("admin", server.admin)] {
            let connection = TcpStream::connect(addr).unwrap();
            let client = connection.local_addr().unwrap();
            eventually(&format!("TCP_NODELAY, {name}, {listener}"), || {
                let socket = accepted(&server.process, client)?;
                socket.tcp_nodelay().unwrap().then_some(())
            });
        }
    }
}
