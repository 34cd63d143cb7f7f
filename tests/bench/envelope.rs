//! What it costs to open and to seal a session, in nanoseconds and bytes: `cargo bench`.
//!
//! - open: from a `Cookie` header to a ready `Authorization` value, the first time in a worker
//! - again: the same, when the worker has opened these cookies before, as with all requests but the first
//! - seal: from a session to its `Set-Cookie` lines
//! - native: an app's token and its proof, from the header lines to the session and the next nonce; most of it is one ES256
//!   verification
//! - floor: what nobody can leave out, measured in the same run on the same bytes: base64 of the cookie (SIMD), the AEAD
//!   (its key prepared), zstd (its dictionary prepared), base64 of the access token
//!
//! Times swing with the machine; the ratios within one run are what can be compared.
#![expect(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, and prints"
)]

mod native;
mod token_sets;

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;
use chacha20poly1305::XChaCha20Poly1305;
use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use sealgate::clock::UnixTime;
use sealgate::fuzzing;
use sealgate::keyring::{Alg, Key, KeyRing, SEAL_OVERHEAD};
use sealgate::proof::{KEY_BYTES, PublicKey};
use sealgate::session::{
    Compression, Jar, LoginAttempt, OpenResult, OpenSession, OpenedSessions, SetCookies, Wallet,
};
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::CParameter;

use token_sets::{NOW, Tokens};

const DICTIONARY: &[u8] = include_bytes!("../../src/session/dictionary/1.zdict");
/// Header and tag, and the two numbers in front of the sections.
const FRAMING: usize = 5 + SEAL_OVERHEAD;
const PLACE: usize = 220;
const LEVEL: i32 = 6;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .without_plots()
        .configure_from_args();
    times(&mut criterion);
    logins(&mut criterion);
    devices(&mut criterion);
    native::requests(&mut criterion);
    sizes();
    criterion.final_summary();
}

/// Runs one benchmark; gives the median of small batches in nanoseconds, `None` if it was filtered out.
fn median(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut work: impl FnMut(),
) -> Option<f64> {
    let samples = RefCell::new(Vec::new());
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let begun = Instant::now();
            for _ in 0..rounds {
                work();
            }
            let taken = begun.elapsed();
            samples
                .borrow_mut()
                .push(taken.as_nanos() as f64 / rounds as f64);
            taken
        });
    });
    let mut samples = samples.into_inner();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}

fn times(criterion: &mut Criterion) {
    let mut table = Vec::new();
    let mut group = criterion.benchmark_group("session");
    for tokens in token_sets::all().into_iter().take(3) {
        for alg in Alg::ALL {
            for compression in [Compression::Zstd, Compression::None] {
                let name = format!("{} {alg} {compression:?}", tokens.name);
                let scene = Scene::new(&tokens, alg, compression);
                let open = median(&mut group, &format!("open {name}"), || scene.open());
                let mut floor = Floor::new(&tokens, alg, compression, &scene.line);
                let known = RefCell::default();
                let again = median(&mut group, &format!("again {name}"), || {
                    scene.open_with(&mut known.borrow_mut());
                });
                let floors = Part::ALL.map(|part| {
                    median(&mut group, &format!("floor {} {name}", part.name()), || {
                        floor.run(part);
                    })
                });
                let seal = median(&mut group, &format!("seal {name}"), || scene.seal());
                table.push((name, open, again, floors, seal));
            }
        }
    }
    group.finish();
    println!(
        "\n{:42} {:>8} {:>8} {:>8} {:>6}   {:>6} {:>6} {:>6} {:>6} {:>8}",
        "ns", "open", "again", "floor", "ratio", "base64", "AEAD", "zstd", "token", "seal"
    );
    for (name, open, again, floors, seal) in table {
        let (Some(open), Some(again), Some(seal), [Some(a), Some(b), Some(c), Some(d)]) =
            (open, again, seal, floors)
        else {
            continue;
        };
        let floor = a + b + c + d;
        println!(
            "{name:42} {open:8.0} {again:8.0} {floor:8.0} {:6.2}   {a:6.0} {b:6.0} {c:6.0} {d:6.0} {seal:8.0}",
            open / floor
        );
    }
}

struct Scene {
    jar: Jar,
    keys: Arc<KeyRing>,
    session: sealgate::session::Session,
    line: String,
}

impl Scene {
    fn new(tokens: &Tokens, alg: Alg, compression: Compression) -> Self {
        let epoch = UnixTime::from_secs(0);
        let key = Key::generate(alg, epoch, epoch).unwrap();
        let keys = Arc::new(KeyRing::from_keys(vec![key], NOW).unwrap());
        let jar = Jar::new(tokens.settings(compression));
        let session = tokens.session();
        let mut wallet = jar.wallet(std::iter::empty(), Arc::clone(&keys), NOW);
        wallet.store(&session).unwrap();
        let line = pairs(wallet.set_cookies());
        Self {
            jar,
            keys,
            session,
            line,
        }
    }

    fn open(&self) {
        self.open_with(&mut OpenedSessions::default());
    }

    fn open_with(&self, known: &mut OpenedSessions) {
        let mut wallet = self.wallet(&self.line);
        let loaded = wallet.load_cached(known);
        assert_eq!(loaded.result, OpenResult::Ok);
        let session = loaded.session.unwrap();
        black_box((session.authorization().unwrap().clone(), session));
    }

    fn seal(&self) {
        let mut wallet = self.wallet("");
        wallet.store(black_box(&self.session)).unwrap();
        black_box(wallet.set_cookies());
    }

    fn wallet<'r>(&'r self, line: &'r str) -> Wallet<'r> {
        let lines = std::iter::once(black_box(line.as_bytes()));
        self.jar.wallet(lines, Arc::clone(&self.keys), NOW)
    }
}

fn pairs(out: &SetCookies) -> String {
    let pairs: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split(';').next())
        .collect();
    pairs.join("; ")
}

#[derive(Clone, Copy)]
enum Part {
    Decode,
    Aead,
    Inflate,
    Encode,
}

impl Part {
    const ALL: [Self; 4] = [Self::Decode, Self::Aead, Self::Inflate, Self::Encode];

    const fn name(self) -> &'static str {
        match self {
            Self::Decode => "base64",
            Self::Aead => "AEAD",
            Self::Inflate => "zstd",
            Self::Encode => "token",
        }
    }
}

enum Cipher {
    Aes(Box<Xaes256Gcm>),
    ChaCha(Box<XChaCha20Poly1305>),
}

struct Floor {
    base64: Simd,
    text: Vec<u8>,
    decoded: Vec<u8>,
    cipher: Cipher,
    sealed: Vec<u8>,
    tag: [u8; 16],
    body: Vec<u8>,
    decompressor: Decompressor<'static>,
    frame: Option<Vec<u8>>,
    inflated: Vec<u8>,
    parts: Vec<Vec<u8>>,
    encoded: String,
}

impl Floor {
    fn new(tokens: &Tokens, alg: Alg, compression: Compression, line: &str) -> Self {
        let base64 = Simd::url_safe(NO_PAD);
        let values: Vec<&str> = line
            .split("; ")
            .filter_map(|pair| Some(pair.split_once('=')?.1))
            .collect();
        let text = values.concat().into_bytes();
        let decoded = base64.decode(&text).unwrap();
        let mut sealed = decoded[FRAMING..].to_vec();
        let key = [7; 32];
        let cipher = match alg {
            Alg::Xaes256Gcm => Cipher::Aes(Box::new(Xaes256Gcm::new(&key.into()))),
            Alg::XChaCha20Poly1305 => Cipher::ChaCha(Box::new(XChaCha20Poly1305::new(&key.into()))),
        };
        let (nonce, aad) = ([9; 24], [0; PLACE]);
        let tag = match &cipher {
            Cipher::Aes(cipher) => {
                cipher.encrypt_inout_detached(&nonce.into(), &aad, sealed.as_mut_slice().into())
            }
            Cipher::ChaCha(cipher) => {
                cipher.encrypt_inout_detached(&nonce.into(), &aad, sealed.as_mut_slice().into())
            }
        };
        let dictionary: &'static DecoderDictionary<'static> =
            Box::leak(Box::new(DecoderDictionary::copy(DICTIONARY)));
        let [_, frame, _] = fuzzing::sections(&tokens.session());
        let parts = tokens
            .access_token
            .split('.')
            .map(|part| base64.decode(part).unwrap())
            .collect();
        Self {
            base64,
            decoded: vec![0; decoded.len() + 8],
            text,
            cipher,
            body: sealed.clone(),
            sealed,
            tag: tag.unwrap().into(),
            decompressor: Decompressor::with_prepared_dictionary(dictionary).unwrap(),
            frame: (compression == Compression::Zstd).then_some(frame),
            inflated: Vec::with_capacity(64 * 1024),
            parts,
            encoded: String::with_capacity(64 * 1024),
        }
    }

    fn run(&mut self, part: Part) {
        match part {
            Part::Decode => {
                let len = self
                    .base64
                    .decode_slice(black_box(&self.text), &mut self.decoded);
                black_box(len.unwrap());
            }
            Part::Aead => {
                self.body.copy_from_slice(&self.sealed);
                let (nonce, aad) = (black_box([9; 24]), black_box([0; PLACE]));
                let (body, tag) = (self.body.as_mut_slice().into(), &self.tag.into());
                match &self.cipher {
                    Cipher::Aes(cipher) => {
                        cipher.decrypt_inout_detached(&nonce.into(), &aad, body, tag)
                    }
                    Cipher::ChaCha(cipher) => {
                        cipher.decrypt_inout_detached(&nonce.into(), &aad, body, tag)
                    }
                }
                .unwrap();
            }
            Part::Inflate => {
                if let Some(frame) = &self.frame {
                    let inflated = self
                        .decompressor
                        .decompress_to_buffer(black_box(frame), &mut self.inflated);
                    black_box(inflated.unwrap());
                }
            }
            Part::Encode => {
                self.encoded.clear();
                for part in black_box(&self.parts) {
                    self.base64.encode_string(part, &mut self.encoded);
                }
            }
        }
    }
}

/// What a stranger can make us do: a login with five cookies that bear the names of logins and open not.
/// What a request of a bound session costs beside one that is not bound: its `-device` is compared with the one of the
/// request before, or opened if it is another.
fn devices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("device");
    for alg in Alg::ALL {
        let tokens = token_sets::plain();
        let scene = Scene::new(&tokens, alg, Compression::Zstd);
        let mut bound = scene.session.clone();
        bound.device = Some(PublicKey::from_bytes([9; KEY_BYTES]));
        let binding = bound.binding().expect("it is bound");
        let bound = OpenSession::from(bound);
        let lines = [(); 2].map(|()| {
            let mut first = scene.wallet("");
            first.store_device_proof(binding, Duration::from_mins(5));
            pairs(first.set_cookies())
        });
        let wallets = lines.each_ref().map(|line| scene.wallet(line));
        let known = &wallets[0];
        assert!(known.device_proof(&bound).is_ok());
        let cost = median(&mut group, &format!("proof {alg}"), || {
            black_box(known.device_proof(&bound).is_ok());
        });
        if let Some(cost) = cost {
            println!("a bound session costs {cost:.0} ns more with {alg}");
        }
        let cost = median(&mut group, &format!("two new proofs {alg}"), || {
            for wallet in &wallets {
                black_box(wallet.device_proof(&bound).is_ok());
            }
        });
        if let Some(cost) = cost {
            let each = cost / 2.0;
            println!("the first request with a proof costs {each:.0} ns more with {alg}");
        }
    }
    group.finish();
}

fn logins(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("logins");
    let scene = Scene::new(&token_sets::plain(), Alg::default(), Compression::Zstd);
    let attempt = |state: &str| LoginAttempt {
        state: state.to_owned(),
        nonce: openidconnect::Nonce::new("n".repeat(43)),
        verifier: openidconnect::PkceCodeVerifier::new("v".repeat(43)),
        issuer: token_sets::plain().issuer.to_owned(),
        rest: String::new(),
        started_at: NOW,
        silent: false,
        max_age: None,
        acr_values: None,
        replaces: None,
        proof_key: None,
    };
    let mut wallet = scene.wallet("");
    wallet.store_login(&attempt(&"s".repeat(43))).unwrap();
    let genuine = wallet
        .set_cookies()
        .lines()
        .next()
        .unwrap()
        .split_once(['=', ';'])
        .unwrap()
        .1;
    let genuine = genuine.split(';').next().unwrap();
    // Good up to the tag.
    let small = format!("{}AAAA", &genuine[..genuine.len() - 4]);
    let mut lines = vec![("none".to_owned(), String::new())];
    for count in [5, 60] {
        let planted = |value: &str| {
            let pairs: Vec<String> = (0..count)
                .map(|at| format!("__Host-Http-shop-login.planted{}={value}", at % 10))
                .collect();
            pairs.join("; ")
        };
        lines.push((
            format!("{count} planted, {} bytes each", small.len()),
            planted(&small),
        ));
    }
    let mut table = Vec::new();
    for (name, line) in &lines {
        let taken = median(&mut group, name, || {
            let mut wallet = scene.wallet(line);
            wallet.store_login(&attempt(&"t".repeat(43))).unwrap();
            black_box(wallet.set_cookies());
        });
        table.push((name, taken));
    }
    group.finish();
    println!("\nns to begin a login, login cookies that came with it");
    for (name, taken) in table {
        println!("{name:42} {:8.0}", taken.unwrap_or_default());
    }
}

/// Bytes of the cookies' values for other ways to write a session.
fn sizes() {
    println!("\nbytes of the session cookies' values (cookies); tokens: access, refresh, ID");
    for tokens in token_sets::all() {
        let session = tokens.session();
        let [section, _, loose] = fuzzing::sections(&session);
        let rest = serde_json::json!({
            "sub": session.subject, "sid": session.idp_sid, "iss": session.issuer, "claims": session.claims,
            "scope": session.tokens.scope, "started": 1, "ends": 2, "expires": 3,
        });
        let strings = |id_token: bool| {
            let mut all = rest.clone();
            all["access_token"] = tokens.access_token.clone().into();
            all["refresh_token"] = tokens.refresh_token.clone().into();
            if id_token {
                all["id_token"] = tokens.id_token.clone().into();
            }
            all.to_string().into_bytes()
        };
        let both = [&section[..], &loose].concat();
        let dictionary = EncoderDictionary::copy(DICTIONARY, LEVEL);
        let with = |bytes: &[u8]| {
            let mut compressor = Compressor::with_prepared_dictionary(&dictionary).unwrap();
            compressor
                .set_parameter(CParameter::DictIdFlag(false))
                .unwrap();
            compressor.compress(bytes).unwrap().len()
        };
        let brotli = |bytes: &[u8]| {
            let mut out = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: 5,
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &bytes[..], &mut out, &parameters).unwrap();
            out.len()
        };
        println!(
            "  {} {:?}",
            tokens.name,
            [
                &tokens.access_token,
                &tokens.refresh_token,
                &tokens.id_token
            ]
            .map(String::len)
        );
        for (name, len) in [
            ("JSON of the strings, ID token too", strings(true).len()),
            ("JSON of the strings", strings(false).len()),
            ("parts decoded (compression = \"none\")", both.len()),
            (
                "  + deflate 6",
                miniz_oxide::deflate::compress_to_vec(&both, 6).len(),
            ),
            ("  + brotli 5", brotli(&both)),
            (
                "  + zstd",
                zstd::bulk::compress(&both, LEVEL).unwrap().len(),
            ),
            ("  + zstd, dictionary", with(&both)),
            (
                "  in two sections + zstd",
                zstd::bulk::compress(&section, LEVEL).unwrap().len() + loose.len(),
            ),
            (
                "  in two sections + zstd, dictionary",
                with(&section) + loose.len(),
            ),
        ] {
            let plaintext = (len + 3).next_multiple_of(64);
            let value = (FRAMING + plaintext) * 4;
            let value = value.div_ceil(3);
            println!(
                "    {name:42} {value:6} ({})",
                value.div_ceil(3800 - "__Host-Http-shop.15".len())
            );
        }
    }
}
