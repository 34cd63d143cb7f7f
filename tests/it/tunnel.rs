//! WebSocket frames as bytes, in the manner of Autobahn's test suite: the tunnel judges none and changes none.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::TestBff;
use crate::support::upstream::{RawUpstream, Talk};
use crate::websocket::{SWITCHED, raw_handshake, read_rest, read_until, switched};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame (RFC 6455 §5.2): its first byte, then length, mask and payload.
fn frame(first: u8, payload: &[u8], is_masked: bool) -> Vec<u8> {
    let bit = u8::from(is_masked) << 7;
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ ..=125) => frame.push(bit + length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(bit + 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(bit + 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend(MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend(payload);
    }
    frame
}

/// Frames by their first byte and payload, as one case of the suite sends them.
type Case = (&'static str, Vec<(u8, Vec<u8>)>);

fn cases() -> Vec<Case> {
    let text = |size: usize| "é".repeat(size / 2 + 1).as_bytes()[..size].to_vec();
    let mut cases: Vec<Case> = Vec::new();
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1 << 20] {
        cases.push(("1.1 text", vec![(0x81, text(size))]));
        cases.push(("1.2 binary", vec![(0x82, vec![0xfe; size])]));
    }
    cases.push(("2 ping without payload", vec![(0x89, vec![])]));
    cases.push(("2 ping of 125 bytes", vec![(0x89, vec![0xff; 125])]));
    cases.push(("2 a pong nobody asked for", vec![(0x8a, b"pong".to_vec())]));
    let fragments = vec![
        (0x01, b"one ".to_vec()),
        (0x89, b"between".to_vec()),
        (0x00, b"two ".to_vec()),
        (0x89, vec![]),
        (0x80, b"three".to_vec()),
    ];
    cases.push(("5 fragments with pings between", fragments));
    let empty = vec![(0x02, vec![]), (0x00, vec![]), (0x80, vec![])];
    cases.push(("5 fragments of nothing", empty));
    // What the ends refuse is theirs to refuse.
    cases.push((
        "3 reserved bits",
        vec![(0xf1, b"x".to_vec()), (0xc2, vec![0; 200])],
    ));
    cases.push((
        "4 reserved opcodes",
        vec![(0x83, vec![]), (0x8b, b"y".to_vec())],
    ));
    cases.push((
        "6 text that is no UTF-8",
        vec![(0x81, vec![0xce, 0xba, 0xed, 0xa0, 0x80])],
    ));
    cases
}

fn bytes_of((_, frames): &Case, is_masked: bool) -> Vec<u8> {
    let frames = frames
        .iter()
        .map(|(first, payload)| frame(*first, payload, is_masked));
    frames.collect::<Vec<_>>().concat()
}

/// Reads until so many bytes have come.
fn hear(talk: &mut Talk, bytes: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    while heard.len() < bytes {
        match talk.hear() {
            more if more.is_empty() => break,
            more => heard.extend(more),
        }
    }
    heard
}

fn bff_for(upstream: &RawUpstream) -> TestBff {
    let tables = upstream.route("websocket = true");
    TestBff::with(|setup| setup.tables = tables)
}

/// An upstream that does this with each connection, once it is a WebSocket.
fn upstream(serve: impl Fn(&mut Talk) + Send + Sync + 'static) -> RawUpstream {
    RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            talk.without_delay();
            talk.say(SWITCHED);
            serve(&mut talk);
        }
    })
}

#[test]
fn every_frame_crosses_byte_for_byte_both_ways() {
    let (heard, was_heard) = mpsc::channel();
    let heard = Mutex::new(heard);
    let upstream = upstream(move |talk| {
        for case in cases() {
            let expect = bytes_of(&case, true).len();
            heard.lock().unwrap().send(hear(talk, expect)).unwrap();
            talk.send(&bytes_of(&case, false));
        }
    });
    let bff = bff_for(&upstream);
    let mut socket = switched(&bff);
    for case in cases() {
        let up = bytes_of(&case, true);
        socket.write_all(&up).unwrap();
        let heard = was_heard.recv_timeout(PATIENCE).unwrap();
        assert!(heard == up, "{} to the upstream: {}", case.0, heard.len());
        let down = bytes_of(&case, false);
        let mut got = vec![0; down.len()];
        socket.read_exact(&mut got).unwrap();
        assert!(got == down, "{} to the client: {}", case.0, got.len());
    }
}

#[test]
fn frames_chopped_into_bytes_cross_as_well() {
    // 2.6, 5.5 and others
    let (heard, was_heard) = mpsc::channel();
    let heard = Mutex::new(heard);
    let short = || {
        let cases = cases().into_iter();
        cases.filter(|case| bytes_of(case, true).len() < 150)
    };
    let upstream = upstream(move |talk| {
        for case in short() {
            let expect = bytes_of(&case, true).len();
            heard.lock().unwrap().send(hear(talk, expect)).unwrap();
            for byte in bytes_of(&case, false) {
                talk.send(&[byte]);
            }
        }
    });
    let bff = bff_for(&upstream);
    let mut socket = switched(&bff);
    socket.set_nodelay(true).unwrap();
    for case in short() {
        let up = bytes_of(&case, true);
        for byte in &up {
            socket.write_all(&[*byte]).unwrap();
        }
        assert_eq!(was_heard.recv_timeout(PATIENCE).unwrap(), up, "{}", case.0);
        let down = bytes_of(&case, false);
        let mut got = vec![0; down.len()];
        socket.read_exact(&mut got).unwrap();
        assert_eq!(got, down, "{}", case.0);
    }
}

#[test]
fn what_comes_right_behind_the_handshake_is_not_lost() {
    let greeting = frame(0x81, b"greeting of the upstream", false);
    let (heard, was_heard) = mpsc::channel();
    let heard = Mutex::new(heard);
    let first = frame(0x81, b"first of the client", true);
    let (says, expect) = (greeting.clone(), first.len());
    let upstream = RawUpstream::start(move |mut talk| {
        if talk.head().is_some() {
            // One segment: the 101 and the first frame.
            talk.send(&[SWITCHED.as_bytes(), &says].concat());
            heard.lock().unwrap().send(hear(&mut talk, expect)).unwrap();
        }
    });
    let bff = bff_for(&upstream);
    let cookies = bff.signed_in().api_cookie_line("/raw");
    for _ in 0..10 {
        let mut socket = TcpStream::connect(bff.addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let handshake = raw_handshake("/raw", &cookies);
        socket
            .write_all(&[handshake.as_bytes(), &first].concat())
            .unwrap();
        read_until(&mut socket, b"\r\n\r\n");
        let mut got = vec![0; greeting.len()];
        socket.read_exact(&mut got).unwrap();
        assert_eq!(got, greeting);
        assert_eq!(was_heard.recv_timeout(PATIENCE).unwrap(), first);
    }
}

/// Payloads of close frames: no code, codes with and without reason, the longest there is.
fn closes() -> Vec<Vec<u8>> {
    let with = |code: u16, reason: &str| [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    let mut closes = vec![vec![], with(1000, ""), with(1000, &"r".repeat(123))];
    for code in [1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999] {
        closes.push(with(code, "ünd tschüss"));
    }
    // RFC 6455 §7.4.1: must not be sent; whoever gets it may say so.
    closes.push(with(1005, ""));
    closes.push(vec![0]);
    closes
}

#[test]
fn a_close_crosses_whole_whoever_begins_it_and_nothing_is_added() {
    // 7
    for begins in ["upstream", "client"] {
        let (heard, was_heard) = mpsc::channel();
        let heard = Mutex::new(heard);
        let upstream = upstream(move |talk| {
            // The client's own close may come along with the number.
            let mut bytes = hear(talk, 1);
            let n = usize::from(bytes.remove(0));
            let payload = &closes()[n];
            let (own, others) = (frame(0x88, payload, false), frame(0x88, payload, true));
            if begins == "upstream" {
                talk.send(&own);
            }
            bytes.extend(hear(talk, others.len() - bytes.len()));
            heard.lock().unwrap().send(bytes).unwrap();
            if begins == "client" {
                talk.send(&own);
            }
            talk.half_close();
        });
        let bff = bff_for(&upstream);
        // The server reads on for a second after its last byte (RFC 9112 §9.6): all of them at once.
        let mut ending = Vec::new();
        for (n, payload) in closes().iter().enumerate() {
            let mut socket = switched(&bff);
            let (own, others) = (frame(0x88, payload, true), frame(0x88, payload, false));
            socket.write_all(&[n.try_into().unwrap()]).unwrap();
            if begins == "client" {
                socket.write_all(&own).unwrap();
            }
            let mut got = vec![0; others.len()];
            socket.read_exact(&mut got).unwrap();
            assert_eq!(got, others, "{begins} begins {n}");
            if begins == "upstream" {
                socket.write_all(&own).unwrap();
            }
            let heard = was_heard.recv_timeout(PATIENCE).unwrap();
            assert_eq!(heard, own, "{begins} begins {n}");
            ending.push(socket);
        }
        for mut socket in ending {
            assert_eq!(read_rest(&mut socket), b"", "and then it is over");
        }
    }
}

#[test]
fn a_connection_that_is_cut_inside_a_frame_is_cut_on_the_other_side() {
    let half = &frame(0x82, &[7; 300], true)[..100];
    let (gone, has_gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let expect = half.to_vec();
    let upstream = upstream(move |talk| {
        let heard = hear(talk, usize::MAX);
        gone.lock()
            .unwrap()
            .send((heard == expect, Instant::now()))
            .unwrap();
    });
    let bff = bff_for(&upstream);
    for is_reset in [false, true] {
        let mut socket = switched(&bff);
        socket.write_all(half).unwrap();
        // So that a reset does not overtake it.
        std::thread::sleep(Duration::from_millis(200));
        if is_reset {
            let socket = socket2::SockRef::from(&socket);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        let cut = Instant::now();
        drop(socket);
        let (is_half, at) = has_gone.recv_timeout(PATIENCE).expect("the end");
        assert!(is_half, "all of what was sent, and nothing else");
        println!("reset {is_reset}: over after {:?}", at - cut);
    }
}

#[test]
fn an_upstream_that_is_cut_inside_a_frame_leaves_half_a_frame() {
    let half = frame(0x82, &[7; 300], false)[..100].to_vec();
    for is_reset in [false, true] {
        let says = half.clone();
        let upstream = RawUpstream::start(move |mut talk| {
            talk.head();
            talk.say(SWITCHED);
            talk.send(&says);
            if is_reset {
                std::thread::sleep(Duration::from_millis(200));
                talk.reset();
            }
        });
        let bff = bff_for(&upstream);
        let mut socket = switched(&bff);
        assert_eq!(read_rest(&mut socket), half, "no frame of ours inside it");
    }
}

#[test]
fn subprotocols_are_between_the_two_ends() {
    let upstream = RawUpstream::start(|mut talk| {
        let Some(head) = talk.head() else { return };
        let lines = head
            .lines()
            .filter_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        let offers = lines.flat_map(|line| line.split(", ")).collect::<Vec<_>>();
        let switched = SWITCHED.trim_end();
        match offers.iter().find(|offer| offer.ends_with("v2")) {
            Some(chosen) => talk.say(&format!(
                "{switched}\r\nsec-websocket-protocol: {chosen}\r\n\r\n"
            )),
            None => talk.say(SWITCHED),
        }
        let said = frame(0x81, offers.join("|").as_bytes(), false);
        talk.send(&said);
    });
    let bff = bff_for(&upstream);
    let cookies = bff.signed_in().api_cookie_line("/raw");
    for (offers, chosen) in [
        (&[][..], None),
        (&["chat.v1"], None),
        (&["chat.v1, chat.v2"], Some("chat.v2")),
        (&["chat.v1", "soap.v2, chat.v2"], Some("soap.v2")),
    ] {
        let mut handshake = raw_handshake("/raw", &cookies).trim_end().to_owned();
        for offer in offers {
            handshake.push_str("\r\nsec-websocket-protocol: ");
            handshake.push_str(offer);
        }
        let mut socket = TcpStream::connect(bff.addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
            .write_all(format!("{handshake}\r\n\r\n").as_bytes())
            .unwrap();
        let answer = read_rest(&mut socket);
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let text = String::from_utf8_lossy(&answer[..end]).into_owned();
        let agreed = text
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(agreed, chosen, "{offers:?}");
        let expect = offers.join(", ").replace(", ", "|");
        assert_eq!(&answer[end + 6..], expect.as_bytes(), "{offers:?}");
    }
}
