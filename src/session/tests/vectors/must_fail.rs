//! What opens nowhere: changed from what opens, or sealed so by the holder of a key.

use serde_json::{Value, json};
use zstd::zstd_safe::CParameter;

use super::write::{Place, vector_session};
use crate::keyring::{Erased, OpenError};
use crate::session::codec::put_number;
use crate::session::encode::{self, Plaintext};
use crate::session::kind::Kind;
use crate::session::pack::{self, Packing};
use crate::session::samples::now;
use crate::session::{Compression, LoginAttempt, Session, base64url, samples};

/// Of cases that open.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(super) fn must_fail(place: &Place, sessions: &[Value], others: &[Value]) -> Vec<Value> {
    let good = sessions[5].clone();
    let three = sessions[3].clone();
    let of = |purpose: &str| {
        others
            .iter()
            .find(|case| case["purpose"] == purpose)
            .unwrap()
            .clone()
    };
    let mut cases = Vec::new();
    let mut fails = |about: &str, mut case: Value, error: OpenError| {
        case["about"] = json!(about);
        case["fails"] = json!(error.to_string());
        case.as_object_mut().unwrap().remove("state");
        cases.push(case);
    };
    let rejected = OpenError::Rejected;
    let changed = |case: &Value, change: &dyn Fn(&mut Vec<u8>)| {
        let mut case = case.clone();
        let mut bytes =
            base64url::decode(case["cookies"][0][1].as_str().unwrap().as_bytes()).unwrap();
        change(&mut bytes);
        case["cookies"][0][1] = json!(base64url::encode(&bytes));
        case
    };
    let of_text = |case: &Value, change: &dyn Fn(&str) -> String| {
        let mut case = case.clone();
        case["cookies"][0][1] = json!(change(case["cookies"][0][1].as_str().unwrap()));
        case
    };
    fails("version 0", changed(&good, &|b| b[0] = 0), rejected);
    let unknown = OpenError::UnknownKey;
    fails("the next version", changed(&good, &|b| b[0] = 2), unknown);
    fails(
        "a packing that is not the sealed one",
        changed(&good, &|b| b[1] = 0),
        rejected,
    );
    fails("a later version", changed(&good, &|b| b[0] = 3), rejected);
    fails("a later packing", changed(&good, &|b| b[1] = 3), rejected);
    fails("the next packing", changed(&good, &|b| b[1] = 2), unknown);
    fails(
        "another number of chunks",
        changed(&good, &|b| b[2] = 2),
        rejected,
    );
    fails("no chunks", changed(&good, &|b| b[2] = 0), rejected);
    fails(
        "a length too small",
        changed(&good, &|b| b[4] -= 1),
        rejected,
    );
    fails("another cipher", changed(&good, &|b| b[5] = 2), rejected);
    fails("an unknown key", changed(&good, &|b| b[6] ^= 1), unknown);
    fails(
        "a bit of the nonce",
        changed(&good, &|b| b[14] ^= 1),
        rejected,
    );
    fails(
        "a bit of the ciphertext",
        changed(&good, &|b| b[60] ^= 0x80),
        rejected,
    );
    fails(
        "a bit of the tag",
        changed(&good, &|b| *b.last_mut().unwrap() ^= 1),
        rejected,
    );
    fails(
        "cut short",
        of_text(&good, &|text| text[..text.len() - 4].to_owned()),
        rejected,
    );
    fails(
        "longer",
        of_text(&good, &|text| format!("{text}AAAA")),
        rejected,
    );
    fails(
        "padding of base64",
        of_text(&good, &|text| format!("{text}=")),
        rejected,
    );
    fails(
        "percent-encoded",
        of_text(&good, &|text| text.replacen('A', "%41", 1)),
        rejected,
    );
    fails("nothing", of_text(&good, &|_| String::new()), rejected);
    let mut swapped = three.clone();
    let second = swapped["cookies"][1][1].take();
    swapped["cookies"][1][1] = three["cookies"][0][1].clone();
    swapped["cookies"][0][1] = second;
    fails("two chunks swapped", swapped, rejected);
    let mut missing = three.clone();
    missing["cookies"].as_array_mut().unwrap().pop();
    fails("the last chunk missing", missing, rejected);
    let mut spliced = three.clone();
    spliced["cookies"][1][1] = sessions[8]["cookies"][1][1].clone();
    fails("a chunk of another session", spliced, rejected);
    for (part, value) in [
        ("frontend", "shop2"),
        ("client_id", "other"),
        ("issuer", "https://id.example.com/"),
        ("origin", "https://shop.example.com:8443"),
    ] {
        let mut moved = good.clone();
        moved["place"][part] = json!(value);
        fails(&format!("of another {part}"), moved, rejected);
    }
    let mut purpose = of("seen");
    purpose["purpose"] = json!("out");
    fails("a seen cookie as an out cookie", purpose, rejected);
    let mut name = of("login");
    name["cookies"][0][0] = json!("__Host-Http-shop-login.b-state-");
    fails("under another name", name, rejected);

    // What only the holder of a key can seal, and still does not open.
    let session = |about: &str, packing: Packing, bytes: Vec<u8>| {
        place.sealed(
            about,
            Some(Kind::Session(0)),
            &place.jar.envelope::<Session>(Kind::Session(0)),
            Plaintext {
                bytes: bytes.into(),
                packing,
            },
        )
    };
    let sections = encode::sections(&vector_session()).unwrap();
    let (packed, loose) = (sections.packed.to_vec(), sections.loose.to_vec());
    let plain = |packed: &[u8], loose: &[u8]| encode::assemble(packed, loose, 64).to_vec();
    let framed = |frame: &[u8]| plain(frame, &loose);
    let mut good_plain = plain(&packed, &loose);
    fails(
        "a byte too many in the packed section",
        session(
            "",
            Packing::Plain,
            plain(&[&packed[..], &[0]].concat(), &loose),
        ),
        rejected,
    );
    fails(
        "a byte too few in the loose section",
        session(
            "",
            Packing::Plain,
            plain(&packed, &loose[..loose.len() - 1]),
        ),
        rejected,
    );
    *good_plain.last_mut().unwrap() = 1;
    fails(
        "padding that is not zero",
        session("", Packing::Plain, good_plain),
        rejected,
    );
    let mut longer = plain(&packed, &loose);
    longer.extend([0; 64]);
    fails(
        "more padding than needed",
        session("", Packing::Plain, longer),
        rejected,
    );
    let mut unpadded = Erased::default();
    put_number(&mut unpadded, 0);
    put_number(&mut unpadded, packed.len() as u64);
    unpadded.push(&packed);
    unpadded.push(&loose);
    fails(
        "padded to nothing",
        session("", Packing::Plain, unpadded.to_vec()),
        rejected,
    );
    let mut compressor = zstd::bulk::Compressor::with_dictionary(9, pack::DICTIONARY_1).unwrap();
    let bomb = compressor.compress(&vec![0; 64 * 1024 + 1]).unwrap();
    fails(
        "a frame of 65537 zeros",
        session("", Packing::Zstd1, framed(&bomb)),
        rejected,
    );
    let frame = pack::pack(&packed, Compression::Zstd).unwrap();
    fails(
        "two frames",
        session("", Packing::Zstd1, framed(&[&frame[..], &frame].concat())),
        rejected,
    );
    fails(
        "no frame",
        session("", Packing::Zstd1, framed(&packed)),
        rejected,
    );
    for (about, flag) in [
        ("a frame with a checksum", CParameter::ChecksumFlag(true)),
        ("a frame with a dictionary id", CParameter::DictIdFlag(true)),
    ] {
        let mut compressor =
            zstd::bulk::Compressor::with_dictionary(6, pack::DICTIONARY_1).unwrap();
        for flag in [CParameter::DictIdFlag(false), flag] {
            compressor.set_parameter(flag).unwrap();
        }
        let frame = compressor.compress(&packed).unwrap();
        fails(about, session("", Packing::Zstd1, framed(&frame)), rejected);
    }
    // In place of the last field, the claims.
    let mut bare = vector_session();
    bare.claims.clear();
    let bare = encode::sections(&bare).unwrap();
    let (end, bare) = (bare.packed.len() - 1, bare);
    for (about, value) in [
        (
            "a number that is none",
            &[&[5][..], &f64::NAN.to_be_bytes()].concat()[..],
        ),
        (
            "an infinite number",
            &[&[5][..], &f64::INFINITY.to_be_bytes()].concat(),
        ),
        (
            "a number below -2^63",
            &[4, 128, 128, 128, 128, 128, 128, 128, 128, 128, 1],
        ),
        (
            "a value in 128 others",
            &[&[7, 1].repeat(128)[..], &[0]].concat(),
        ),
    ] {
        let packed = [&bare.packed[..end], &[1, 1, b'a'], value].concat();
        fails(
            about,
            session("", Packing::Plain, plain(&packed, &bare.loose)),
            rejected,
        );
    }
    let login = samples::attempt("a-state-of-43-characters", now());
    let login = encode::sections(&login).unwrap();
    let login_frame = compressor.compress(&login.packed).unwrap();
    compressor
        .set_parameter(CParameter::ContentSizeFlag(false))
        .unwrap();
    let silent = compressor.compress(&packed).unwrap();
    fails(
        "a frame that does not say its size",
        session("", Packing::Zstd1, framed(&silent)),
        rejected,
    );
    let name = place.jar.names.name(Kind::Login("a-state-"));
    let compressed = Plaintext {
        bytes: encode::assemble(&login_frame, &login.loose, 64),
        packing: Packing::Zstd1,
    };
    fails(
        "a login that is compressed",
        place.sealed(
            "",
            Some(Kind::Login("a-state-")),
            &place.jar.parameter::<LoginAttempt>(name.clone()),
            compressed,
        ),
        rejected,
    );
    cases
}
