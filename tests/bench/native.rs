//! What an app's request costs more than none: its token, its proof of possession, and the next nonce.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use sealgate::keyring::Alg;
use sealgate::names::Origin;
use sealgate::proof::{Age, Dpop, Proven, SealedTime};
use sealgate::session::{Compression, NativeAccess};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::token_sets::{self, NOW};
use crate::{Scene, median};

const NONCE: SealedTime = SealedTime::new("native nonce 1");

pub fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("native");
    let random = SystemRandom::new();
    let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(alg, key.as_ref(), &random).unwrap();
    let point = key.public_key().as_ref();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])});
    let origin = Origin::parse("https://shop.example.com").unwrap();
    let mut table = Vec::new();
    for tokens in token_sets::all().into_iter().take(3) {
        let scene = Scene::new(&tokens, Alg::default(), Compression::Zstd);
        let access = NativeAccess::of(&scene.session, Some([7; 32]));
        let token = scene.wallet("").seal_native_access(&access).unwrap();
        let nonce = NONCE.seal(b"shop", &scene.keys, NOW).unwrap();
        let part = |value: &Value| text(value.to_string().as_bytes());
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let claims = json!({
            "jti": "5f0c4a1e-6a53-4a07-9d0e-0b6f4b6c3f7e", "htm": "GET", "htu": "https://shop.example.com/api/orders/7",
            "iat": NOW.as_secs(), "ath": text(&Sha256::digest(&token)), "nonce": nonce,
        });
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        let proof = format!("{signed}.{}", text(signature.as_ref()));
        let request = Proven {
            method: "GET",
            origin: &origin,
            path: "/api/orders/7",
            token: Some(&token),
        };
        let verify = median(&mut group, &format!("ES256 alone {}", tokens.name), || {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(black_box(signed.as_bytes()), signature.as_ref())
                .unwrap();
        });
        let whole = median(&mut group, &format!("request {}", tokens.name), || {
            let wallet = scene.wallet("");
            let (access, _) = wallet.open_native_access(black_box(&token)).unwrap();
            let proof = Dpop::read(black_box(&proof), request).unwrap();
            let nonce = proof.nonce.as_deref().unwrap();
            let age = NONCE.age(nonce, b"shop", &scene.keys, NOW);
            assert!(matches!(age, Age::Fresh(_)));
            let next = NONCE.seal(b"shop", &scene.keys, NOW).unwrap();
            black_box((access, next));
        });
        table.push((tokens.name, token.len(), verify, whole));
    }
    group.finish();
    println!(
        "\n{:20} {:>10} {:>12} {:>12}",
        "an app's request", "token", "ES256 ns", "all ns"
    );
    for (name, len, verify, whole) in table {
        let [verify, whole] = [verify, whole].map(Option::unwrap_or_default);
        println!("{name:20} {len:10} {verify:12.0} {whole:12.0}");
    }
}
