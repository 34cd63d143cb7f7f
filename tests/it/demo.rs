//! `sealgate --demo`, which most people run first.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::http_proxy::HttpProxy;
use crate::support::process::{Place, Process, Server};
use crate::support::{Browser, Initiator, Request};

/// The addresses on which a process listens, as Linux reports them.
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

/// A running demo, and a browser in front of it.
fn demo(place: &Place) -> (Server, Browser) {
    let server = Process::spawn(place.sealgate(&["--demo"])).serving();
    let app = format!("http://localhost:{}", server.addr.port());
    let browser = Browser::new(&app, server.addr, Arc::default());
    (server, browser)
}

/// What the demo's page learns from sealgate's log.
fn witness(browser: &mut Browser) -> Value {
    let answer = browser.fetch("GET", "/api/public/witness");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn the_demo_shows_cookies_by_name_size_and_flags_and_never_a_value() {
    // N13
    let place = Place::new();
    let (_server, mut browser) = demo(&place);
    browser.log_in("/bff/login");
    let told = witness(&mut browser);
    let cookies = told["cookies"].as_array().unwrap();
    let mut names: Vec<_> = cookies
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let mut held: Vec<_> = browser
        .jar
        .iter()
        .filter(|cookie| cookie.host == "localhost")
        .collect();
    held.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(names, held.iter().map(|c| &*c.name).collect::<Vec<_>>());
    assert!(names.contains(&"sealgate-shop"), "{names:?}");
    for cookie in held {
        let told = cookies.iter().find(|c| c["name"] == *cookie.name).unwrap();
        let bytes = cookie.name.len() + 1 + cookie.value.len();
        assert_eq!(told["bytes"], bytes, "{told}");
        let attributes = told["attributes"].as_str().unwrap();
        let path = format!("Path={}; HttpOnly; SameSite=Strict", cookie.path);
        assert!(attributes.starts_with(&path), "{attributes}");
        assert!(!told.to_string().contains(&cookie.value));
    }
}

#[test]
fn the_demo_works_behind_a_companys_proxy() {
    // No proxy can reach the demo's own identity provider.
    let place = Place::new();
    let proxy = HttpProxy::start(None);
    let mut command = place.sealgate(&["--demo"]);
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
        command.env(variable, format!("http://{}", proxy.addr));
    }
    let server = Process::spawn(command).serving();
    let app = format!("http://localhost:{}", server.addr.port());
    let mut browser = Browser::new(&app, server.addr, Arc::default());
    browser.log_in("/bff/login");
    assert_eq!(browser.fetch("GET", "/bff/user").status, 200);
    assert_eq!(proxy.heads(), Vec::<String>::new());
}

#[test]
fn the_demo_shows_how_attacks_were_refused() {
    // N13
    let place = Place::new();
    let (server, mut browser) = demo(&place);
    browser.log_in("/bff/login");
    let page = browser.navigate("/", Initiator::User).response.text();
    let (_, rest) = page.split_once("data-elsewhere=\"").unwrap();
    let elsewhere = rest.split('"').next().unwrap().to_owned();
    assert!(elsewhere.starts_with("http://localhost:"), "{elsewhere}");
    let api: SocketAddr = elsewhere
        .replace("http://localhost", "127.0.0.1")
        .parse()
        .unwrap();
    assert_ne!(api, server.addr, "another origin");
    let attacker = Request::new("GET", "/elsewhere")
        .header("host", &api.to_string())
        .send(api);
    assert_eq!(attacker.status, 200);
    let app = browser.app().origin().ascii_serialization();
    let policy = attacker.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(policy.contains(&format!("form-action {app};")), "{policy}");
    assert!(
        attacker
            .text()
            .contains(&format!("action=\"{app}/api/echo/forged\""))
    );

    // The form and the WebSocket come with the cookies, because the host is the same.
    let cookies = browser.api_cookie_line("/api/echo");
    assert!(cookies.contains("sealgate-shop="), "{cookies}");
    let host = app.strip_prefix("http://").unwrap();
    let forge = |method, path| {
        Request::new(method, path)
            .header("host", host)
            .header("cookie", &cookies)
            .header("origin", &elsewhere)
            .header("sec-fetch-site", "same-site")
    };
    let form = forge("POST", "/api/echo/forged").body("transfer=everything");
    let socket = forge("GET", "/api/echo/ws")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let before = witness(&mut browser)["count"].as_u64().unwrap();
    for request in [form, socket] {
        assert_eq!(request.send(server.addr).status, 403);
        let told = witness(&mut browser);
        let answers = told["answers"].as_array().unwrap();
        let answer = answers
            .iter()
            .find(|answer| answer["path"] == *request.target)
            .unwrap_or_else(|| panic!("{told}"));
        assert!(answer["n"].as_u64().unwrap() > before, "{answer}");
        assert_eq!(
            (&answer["status"], &answer["outcome"]),
            (&403.into(), &"cross-site-request".into())
        );
        assert_eq!(told["forged"], 0, "nothing reached the API");
    }
    // The count means something: calls that are not forged do arrive.
    let own = Request::new("POST", "/api/echo/forged").header("x-csrf", "1");
    assert_eq!(browser.send(own).status, 200);
    assert_eq!(witness(&mut browser)["forged"], 1);
}

#[test]
fn the_demo_renews_its_token_within_half_a_minute_and_ends_where_it_says_so() {
    // N13
    let place = Place::new();
    let (_server, mut browser) = demo(&place);
    browser.log_in("/bff/login");
    let session = browser.fetch("GET", "/bff/session").json();
    let time = |name: &str| session[name].as_u64().unwrap();
    let lifetime = time("access_token_expires_at") - time("server_now");
    assert!(lifetime <= 20, "{session}");
    let url = browser.send(Request::new("POST", "/bff/logout").header("x-csrf", "1"));
    let url = url.json()["logout_url"].as_str().unwrap().to_owned();
    let visit = browser.navigate(
        &format!("{url}&returnUrl=/signed-out"),
        Initiator::SameOrigin,
    );
    assert_eq!(
        (visit.url.path(), visit.response.status),
        ("/signed-out", 200)
    );
    assert!(
        visit
            .response
            .text()
            .contains("<h1>Both sessions are over.</h1>")
    );
    assert!(
        visit
            .chain
            .iter()
            .any(|(url, _)| url.path() == "/end_session")
    );
    let told = witness(&mut browser);
    let left: Vec<_> = told["cookies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(left, ["sealgate-shop-out"], "the mark alone");
    // The provider asks for a password again.
    let login = browser.navigate("/bff/login", Initiator::SameOrigin);
    assert!(login.response.text().contains("id=\"password\""));
}

#[test]
fn the_demo_tells_the_whole_story_on_loopback_and_leaves_nothing_behind() {
    let place = Place::new();
    // The demo's usual port may be taken, by this test or by another: it takes another.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let begun = Instant::now();
    let mut command = place.sealgate(&["--demo"]);
    // These are for another sealgate: they must not change the demo.
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

#[test]
fn the_demos_phone_gets_one_screen_in_one_call_and_what_is_left_when_an_api_fails() {
    let place = Place::new();
    let (server, _) = demo(&place);
    let origin = format!("http://127.0.0.1:{}", server.addr.port());
    assert!(server.process.stdout.text().contains(&format!("{origin}/")));
    let mut phone = Browser::new(&origin, server.addr, Arc::default());
    let page = phone.navigate("/", Initiator::User).response;
    assert!(page.text().contains("<script src=\"/phone.js\""));
    for file in ["/app.css", "/phone.css", "/phone.js", "/favicon.svg"] {
        assert_eq!(phone.fetch("GET", file).status, 200, "{file}");
    }
    assert_eq!(phone.fetch("GET", "/api/home").status, 401);
    phone.log_in("/bff/login");
    let names = phone.cookie_names();
    assert!(names.contains(&"sealgate-phone".to_owned()), "{names:?}");

    // A small answer from a large one.
    let me = phone.fetch("GET", "/api/me").json();
    assert_eq!(me, json!({ "sub": "8f2c1d7e-alice" }));

    // Three calls, each with what the one before has said.
    let get = |phone: &mut Browser, path: &str| {
        let answer = phone.fetch("GET", path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        (answer.json(), answer.body.len())
    };
    let (user, first) = get(&mut phone, "/api/shop/users/8f2c1d7e-alice");
    let customer = user["id"].as_str().unwrap();
    let path = format!("/api/shop/orders?customer={customer}&limit=3");
    let (orders, second) = get(&mut phone, &path);
    let orders = orders["data"].as_array().unwrap();
    let skus: Vec<_> = orders
        .iter()
        .map(|order| order["line"]["sku"].as_str().unwrap())
        .collect();
    let (prices, third) = get(
        &mut phone,
        &format!("/api/shop/prices?sku={}", skus.join(",")),
    );
    let net = |price: &Value| json!({ "net": price["net"] });
    let screen = json!({
        "me": { "id": user["id"], "name": user["profile"]["displayName"] },
        "orders": orders.iter().map(|order| json!({
            "id": order["id"], "sku": order["line"]["sku"], "total": order["amount"]["total"],
        })).collect::<Vec<_>>(),
        "prices": prices["data"].as_array().unwrap().iter().map(net).collect::<Vec<_>>(),
    });

    // The same as one.
    let home = phone.fetch("GET", "/api/home?limit=3");
    assert_eq!((home.status, home.json()), (200, screen.clone()));
    assert!(
        home.text().contains("\"total\":34.50"),
        "the digits as sent"
    );
    assert_eq!(home.header("sealgate-partial"), None);
    let (one, three) = (home.body.len(), first + second + third);
    assert!(one * 5 < three, "{one} bytes beside {three}");

    // An API fails, and comes back.
    let switch = |phone: &mut Browser, is_down: bool| {
        let path = format!("/api/shop/outage?prices={is_down}");
        let request = Request::new("POST", &path).header("x-csrf", "1");
        assert_eq!(phone.send(request).status, 200);
    };
    switch(&mut phone, true);
    assert_eq!(phone.fetch("GET", "/api/shop/prices?sku=x").status, 503);
    let partial = phone.fetch("GET", "/api/home?limit=3");
    assert_eq!(partial.status, 200);
    assert_eq!(partial.header("sealgate-partial"), Some("prices"));
    let partial = partial.json();
    assert_eq!(
        (&partial["me"], &partial["orders"], &partial["prices"]),
        (&screen["me"], &screen["orders"], &json!([null, null, null]))
    );
    let failed = |index| json!({ "index": index, "status": 503, "code": "upstream-status" });
    assert_eq!(
        partial["_errors"],
        json!({ "prices": { "failed": [failed(0), failed(1), failed(2)] } })
    );
    switch(&mut phone, false);
    assert_eq!(phone.fetch("GET", "/api/home?limit=3").json(), screen);
}
