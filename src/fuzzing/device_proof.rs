//! A proof of possession is accepted only for what it was signed for.

use super::app_proof;
use super::change::changed;
use crate::proof::{self, Proof, PublicKey};

/// A key whose private half nobody has any more, and a proof that it signed: a registration in Chromium's form.
const REGISTRATION: &str = "eyJhbGciOiJFUzI1NiIsImp3ayI6eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6InhNTGMydFJXQ1dsZE9EX3BfaGdXeVozTGdMRmlISVp1akdXazFJWDVjeWsiLCJ5IjoiQ3FpcXdMLWF3ekNfTlc4ZE4wYmtWbUw3MWVJRHEzaml0Mm9ZT0lERVNTVSJ9LCJ0eXAiOiJkYnNjK2p3dCJ9.eyJqdGkiOiJjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjIn0.UnCPRYO-1uWqswY0V8CwfIIatXcK5S7j2LYmr0YdpZFXhs1uI-M7T0qNZrcPYDkCkN88NYeVUXrXZa--EFluQg";

/// Reads `data` as a proof that brings its key, as one of a known key, and as a change to a genuine one (two bytes of position,
/// then bytes to write there). Whether the first is accepted. What begins as JSON is the claims of an app's proof instead.
///
/// # Panics
/// If a change to what was signed, or a proof that names another key than the known one, is believed. If an app's proof is good
/// for another request than its own.
pub fn device_proof(data: &[u8]) -> bool {
    if data.starts_with(b"{") {
        return app_proof::accepts(data);
    }
    let text = String::from_utf8_lossy(data);
    let read = |text: &str| Proof::read(text, "dbsc+jwt");
    let Ok(genuine) = read(REGISTRATION) else {
        return false;
    };
    let is_genuine = |text: &str| text == REGISTRATION;
    let by_known = proof::claims_of(&text, "dbsc+jwt", &genuine.key);
    if let (Ok(_), Ok(named)) = (&by_known, read(&text)) {
        assert_eq!(named.key, genuine.key, "signed by another key");
    }
    assert!(Proof::read(&text, "dpop+jwt").is_err() || !is_genuine(&text));
    if let Some(bytes) = changed(REGISTRATION.as_bytes(), data) {
        let changed = String::from_utf8_lossy(&bytes);
        let believed = read(&changed).is_ok_and(|proof| proof.key == genuine.key);
        assert!(!believed || is_genuine(&changed), "a change is believed");
    }
    let Ok(proof) = read(&text) else {
        return false;
    };
    // What says its key is verified by that key, and by no other reading of it.
    let again = proof::claims_of(&text, "dbsc+jwt", &proof.key);
    assert!(again.is_ok_and(|claims| claims == proof.claims));
    assert_eq!(PublicKey::from_bytes(*proof.key.as_bytes()), proof.key);
    true
}
