//! A place to return to is on the origin, and stays what it is.

use url::Url;

use crate::names::ReturnTo;

/// Reads `data` as a place to return to. Whether it was accepted.
///
/// # Panics
/// If a browser would leave the origin for it, or if a second reading gives another place.
pub fn return_to(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Some(place) = ReturnTo::parse(&text) else {
        return false;
    };
    let path = place.as_str();
    for base in ["https://shop.example", "http://localhost:8080/bff/callback"] {
        let base = Url::parse(base).ok();
        let joined = base.as_ref().and_then(|base| base.join(path).ok());
        assert_eq!(
            joined.map(|url| url.origin()),
            base.map(|base| base.origin()),
            "{path}"
        );
    }
    assert!(path.len() <= 4096 && path.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(ReturnTo::parse(path), Some(place.clone()), "{path}");
    // Some programs drop tabs and line ends, or take a backslash for a slash. They find none.
    assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'));
    true
}
