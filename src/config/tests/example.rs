//! `--example-config`.

use super::*;

#[test]
fn the_example_loads_with_the_secret_that_it_names() {
    let config = resolved(&[EXAMPLE], &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    let (written, _dir) = layered(&[EXAMPLE], &[]);
    assert!(written.unwrap().print().is_ok());
}
