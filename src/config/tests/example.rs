//! `--example-config`.

use super::*;

#[test]
fn the_example_loads_as_it_is_but_for_the_secret_it_asks_for() {
    let config = resolved(&[EXAMPLE], &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    let (written, _dir) = layered(&[EXAMPLE], &[]);
    assert!(written.unwrap().print().is_ok());
}
