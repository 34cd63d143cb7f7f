//! A raw `Cookie` header never opens without the key, nor does a changed one.

use super::change::changed;
use super::scene::SCENE;

/// Reads `data` as `Cookie` lines, and once more as a change to a genuine line.
///
/// # Panics
/// If either opens as a session, unless the change left all that counts as it was. If the answer does more than delete cookies.
pub fn cookie_header(data: &[u8]) {
    let scene = &*SCENE;
    let lines = || data.split(|byte| *byte == b'\n');
    assert!(scene.load(lines()).is_none(), "opened without the key");
    let wallet = scene.wallet(lines());
    assert!(wallet.load_hint().is_none());
    let text = std::str::from_utf8(data).unwrap_or_default();
    assert!(wallet.open_logout_state(text).is_none());

    let Some(line) = changed(&scene.genuine, data) else {
        return;
    };
    let opened = scene.load(std::iter::once(line.as_slice()));
    let genuine = &scene.session.tokens.access_token;
    assert!(opened.is_none_or(|session| session.tokens.access_token.secret() == genuine.secret()));
}
