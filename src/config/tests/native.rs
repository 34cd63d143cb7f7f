//! Apps without a cookie jar.

use super::*;
use crate::frontend::Dpop;

fn with(native: &str) -> Result<Config, ConfigErrors> {
    resolved(&[&format!("{SHOP}[frontend.shop.native]\n{native}")], &[])
}

#[test]
fn apps_have_lifetimes_of_their_own() {
    let config = with("redirect_uris = [\"com.example.shop:/cb\"]").unwrap();
    let frontend = first(&config);
    let native = frontend.native.as_ref().unwrap();
    let day = Duration::from_hours(24);
    assert_eq!(
        (native.dpop, native.absolute_timeout, native.idle_timeout),
        (Dpop::Required, day * 30, day * 14)
    );
    assert!(native.allows("com.example.shop:/cb"));
    assert_eq!(frontend.longest_session, day * 30);
    assert_eq!(config.keys.retire_after(), day * 30, "keys live as long");
    assert!(first(&resolved(&[SHOP], &[]).unwrap()).native.is_none());
}

#[test]
fn what_leads_to_no_app_is_a_mistake() {
    for (native, what) in [
        ("", "this key is required"),
        ("redirect_uris = []", "no app can sign in without one"),
        (
            "redirect_uris = [\"http://shop.example.com/cb\"]",
            "http:// is for loopback addresses only",
        ),
        ("redirect_uris = [\"shop:/cb\"]", "with a dot in it"),
        (
            "redirect_uris = [\"com.example.shop:/cb\"]\ndpop = \"never\"",
            "\"never\" is not supported here",
        ),
        (
            "redirect_uris = [\"com.example.shop:/cb\"]\nidle_timeout = \"31d\"",
            "this is longer than absolute_timeout",
        ),
    ] {
        let Err(errors) = with(native) else {
            panic!("{native}: taken");
        };
        let errors = errors.to_string();
        assert!(errors.contains(what), "{native}: {errors}");
    }
}
