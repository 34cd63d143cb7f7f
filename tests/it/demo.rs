//! `sealgate --demo`, the first thing anybody runs.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::process::{Place, Process};
use crate::support::{Browser, Initiator};

/// The listening sockets of a process, as Linux tells them.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<IpAddr> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let inodes: HashSet<String> = descriptors
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let mut addresses = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, _) = fields[1].split_once(':').unwrap();
            if fields[3] == "0A" && inodes.contains(fields[9]) {
                addresses.push(address_of(address));
            }
        }
    }
    addresses
}

/// 32-bit words in the machine's order, in hex.
#[cfg(target_os = "linux")]
fn address_of(hex: &str) -> IpAddr {
    let word = |at: usize| {
        u32::from_str_radix(&hex[at..at + 8], 16)
            .unwrap()
            .to_ne_bytes()
    };
    if hex.len() == 8 {
        return IpAddr::from(word(0));
    }
    let bytes: Vec<u8> = [0, 8, 16, 24].into_iter().flat_map(word).collect();
    IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap())
}

#[test]
fn the_demo_tells_the_whole_story_on_loopback_and_leaves_nothing_behind() {
    let place = Place::new();
    // Whoever has the port the demo likes best: it takes another.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let begun = Instant::now();
    let mut command = place.sealgate(&["--demo"]);
    // Meant for another sealgate: they must not bend the demo.
    command
        .env("SEALGATE_CONFIG", "nowhere.toml")
        .env("SEALGATE__SERVER__BIND", "0.0.0.0:0");
    let mut server = Process::spawn(command).serving();
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    let banner = server.process.stdout.text();
    let url = banner
        .split_whitespace()
        .find(|word| word.starts_with("http://localhost:"))
        .unwrap_or_else(|| panic!("no URL in {banner}"));
    let port: u16 = url
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(server.addr, SocketAddr::from(([127, 0, 0, 1], port)));
    assert_ne!(port, 8080);
    assert!(
        banner.contains("alice") && banner.contains("wonderland"),
        "{banner}"
    );

    #[cfg(target_os = "linux")]
    {
        let addresses = listening(server.process.id());
        assert_eq!(addresses.len(), 4, "application, operator, provider, API");
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    let mut browser = Browser::new(url.trim_end_matches('/'), server.addr, Arc::default());
    let page = browser.navigate("/", Initiator::User).response;
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("<script src=\"/app.js\""),
        "{}",
        page.text()
    );
    assert!(page.header("content-security-policy").is_some());
    assert_eq!(
        browser
            .navigate("/deep/link", Initiator::User)
            .response
            .body,
        page.body
    );
    let script = browser.fetch("GET", "/app.js");
    assert_eq!(script.status, 200);
    assert!(
        script
            .header("content-type")
            .unwrap()
            .contains("javascript")
    );
    let user = browser.fetch("GET", "/bff/user");
    assert_eq!((user.status, &*user.problem()), (401, "login-required"));
    assert_eq!(browser.fetch("GET", "/api/echo").status, 401);
    assert_eq!(browser.fetch("GET", "/api/public").status, 200);

    let visit = browser.log_in("/bff/login?returnUrl=/welcome");
    assert_eq!((visit.url.path(), visit.response.status), ("/welcome", 200));
    let names = browser.cookie_names();
    assert!(names.contains(&"sealgate-shop".to_owned()), "{names:?}");
    let claims = browser.fetch("GET", "/bff/user").json();
    let value = |name: &str| {
        let claims = claims.as_array().unwrap();
        claims
            .iter()
            .find(|claim| claim["type"] == name)
            .map(|claim| claim["value"].clone())
    };
    assert_eq!(value("name"), Some("Alice Liddell".into()));
    let echo = browser.fetch("GET", "/api/echo").json();
    assert_eq!(echo["authorization"]["scheme"], "Bearer", "{echo}");
    let logout = value("bff:logout_url").unwrap();
    browser.navigate(logout.as_str().unwrap(), Initiator::SameOrigin);
    assert_eq!(browser.fetch("GET", "/bff/user").status, 401);

    let begun = Instant::now();
    server.process.signal("INT");
    let outcome = server.process.outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    let left: Vec<_> = std::fs::read_dir(place.path(".")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
