//! Replays what the fuzzer starts from, and whatever once broke a rule, without the fuzzer.
//!
//! The plaintexts called `valid-…` are also golden: a release that cannot read them ends everybody's session (E17).

use std::fs;
use std::io;
use std::path::Path;

use sealgate::fuzzing;

/// Names and contents of a target's inputs.
fn corpus(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    fs::read_dir(corpus.join(target))?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((name, fs::read(entry.path())?))
        })
        .collect()
}

#[test]
fn no_cookie_header_of_the_corpus_opens() {
    // C5, E11
    let inputs = corpus("cookie_header").unwrap();
    assert!(inputs.len() >= 20, "only {} inputs", inputs.len());
    for (name, data) in inputs {
        println!("{name}");
        fuzzing::cookie_header(&data);
    }
}

#[test]
fn every_plaintext_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    // E17
    ends_as_named("envelope_body", fuzzing::envelope_body);
}

#[test]
fn every_key_file_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    // E9, E21
    ends_as_named("key_file", fuzzing::key_file);
}

#[test]
fn every_place_to_return_to_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    // B6
    ends_as_named("return_to", fuzzing::return_to);
}

#[test]
fn every_path_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    // D11
    ends_as_named("route_path", fuzzing::route_path);
}

#[test]
fn every_id_token_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    // B25 to B32
    ends_as_named("id_token", fuzzing::id_token);
}

#[test]
fn every_logout_token_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    // B64
    ends_as_named("logout_token", fuzzing::logout_token);
}

#[test]
fn every_template_pointer_and_answer_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    ends_as_named("compose", fuzzing::compose);
}

#[test]
fn every_proof_of_the_corpus_is_accepted_or_refused_as_its_name_says() {
    ends_as_named("device_proof", fuzzing::device_proof);
}

fn ends_as_named(target: &str, accepts: fn(&[u8]) -> bool) {
    let inputs = corpus(target).unwrap();
    assert!(inputs.len() >= 20, "only {} inputs", inputs.len());
    for (name, data) in inputs {
        println!("{name}");
        let accepted = accepts(&data);
        if name.starts_with("valid-") {
            assert!(accepted, "{name}");
        } else if name.starts_with("refused-") {
            assert!(!accepted, "{name}");
        }
    }
}
