//! Sealed cookies: the whole session lives in the browser, and only we can read it.
//!
//! Each frontend has a [`Jar`], and each request gets its [`Wallet`] from it: `request::opening` loads the session with it,
//! `endpoint` and `token` store and end sessions. Of HTTP this module knows the texts of `Cookie` and `Set-Cookie`, and the
//! `Authorization` line that a worker keeps with a session that it has opened. It does not know the identity provider.
//!
//! - `state`: what is sealed, and its times · `settings`, `outcome`: what goes in and comes out
//! - `encode` with `codec`, `claims`, `token_text`: states as bytes · `pack`: fewer bytes
//! - `native`: what an app without a cookie jar holds
//! - `envelope`: bytes as text, bound to a place · `opened`: what a worker need not open again
//! - `chunk`: text as cookies · `kind`: the kinds of cookies, one row each · `names`, `cookies`, `set_cookie`: their names and
//!   the two headers
//! - `jar`: what all cookies of a frontend have in common · `wallet`: the cookies of one request, to `load`, to `store` (with
//!   its `budget`), for `login` and `logout`, and to `explain`
//! - `binding`: a session and the key of its device · `device`: the cookie that tells of the device's proof ·
//!   `known_proof`: the one that opened last
//!
//! # Cookies
//!
//! `<p>` is `__Host-Http-`, and `sealgate-` on a loopback origin without TLS; `<f>` is the frontend's name.
//!
//! | name | purpose | holds | attributes |
//! |---|---|---|---|
//! | `<p><f>`, `<p><f>.1` … `.15` | `session` | [`Session`] | Path=/, `same_site` |
//! | `<p><f>-seen` | `seen` | session id, last activity | the same |
//! | `<p><f>-out` | `out` | ids of ended sessions and names of refused refreshes, until when | the same, Max-Age |
//! | `<p><f>-login.<id>` | `login` | [`LoginAttempt`]; `<id>`: the first 8 characters of its `state` | Path=/, `login_same_site`, Max-Age=`login_timeout` |
//! | `__Http-<f>-hint` | `hint` | [`LogoutHint`] | Path=`<base_path>/logout`, `same_site` |
//! | `__Host-<f>-device` (`sealgate-<f>-device` on such an origin) | `device` | that the device has proved, and until when that counts | Path=/, `same_site`, Max-Age |
//! | none: a part of the `state` parameter | `login-state` | [`LoginState`]: where to go after login, as far as there is room | |
//! | none: a `state` parameter | `logout-state` | where to go after logout, when it was sealed | |
//!
//! An app without a cookie jar holds these. None of them is a cookie; the name in the associated data is the purpose, and
//! of `native-login` `native-login.` and the 43 characters that stand before it in `state`.
//!
//! | where | purpose | holds |
//! |---|---|---|
//! | access token | `native-access` | [`NativeAccess`] |
//! | refresh token | `native-refresh` | [`NativeRefresh`] |
//! | code | `native-code` | [`NativeCode`] |
//! | a part of the `state` parameter | `native-login` | [`NativeLogin`] |
//!
//! All are `HttpOnly`, and `Secure` unless the origin is loopback without TLS. Where no Max-Age is given, a cookie lasts
//! as long as the browser runs, or with `persistent` as long as the session may; what ends a session is sealed inside.
//!
//! # Wire format, version 1
//!
//! All that another implementation needs, with `dictionary/1.zdict`. Test vectors are in `tests/vectors/v1`, one list of
//! cases in each file: key, place, section and plaintext in hex, cookies, and what they hold or how they must fail.
//!
//! ## From the cookies to the plaintext
//!
//! The values of the session's cookies in order, or the value of any other cookie, are the base64url (RFC 4648 §5, without
//! padding, spare bits zero) of:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version: 1 |
//! | 1 | packing: 0 none; 1 zstd with dictionary 1 |
//! | 1 | number of cookies the text is divided into, 1 to 16 |
//! | 2 | length of all that follows, big-endian |
//! | 1 | algorithm: 1 XAES-256-GCM (C2SP); 2 XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) |
//! | 8 | kid of the key |
//! | 24 | nonce, random |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |
//!
//! The session's text is divided so that every cookie but the last is full: its value has 3800 octets less the length of
//! `<p><f>.15`. Cookies beyond that number are not joined. All other texts are in one cookie, of at most 4096 octets of name and value; `logout-state` counts as a cookie
//! of that name, and `login-state` as one called `login-state.` and the 43 characters that stand before it in `state`. A token or code
//! of an app is one text of at most 12288 octets.
//!
//! The AEAD's key is HKDF-SHA-256 (RFC 5869) of the key's 32-byte secret, without salt, with the purpose as info, 32 bytes
//! long. The kid is the first 8 bytes of SHA-256 of `sealgate kid 1`, a zero byte and the secret. A cookie whose algorithm is not
//! that of its key is refused.
//!
//! Associated data, where *d(x)* is the length of x as 8 bytes, big-endian, and x: d(algorithm) · d(kid) · d(place); and place is
//! the first five bytes of the table · d(purpose) · d(cookie name, of the first chunk) · d(frontend) · d(client id) · d(issuer) ·
//! d(public origin). Frontend, client id and issuer are as configured, byte for byte; the origin is `https://` (on loopback also
//! `http://`), the host in lower case, and `:` with the port if it is not the scheme's own.
//!
//! ## From the plaintext to the sections
//!
//! | bytes | what |
//! |---|---|
//! | number | what the plaintext is padded to, 1 to 4096: its length is a multiple of it |
//! | number | length of the packed section as it stands here, at most 65536 |
//! | n | the packed section: text |
//! | n | the loose section: what does not compress |
//! | n | zeros, fewer than the plaintext is padded to |
//!
//! With packing 1, the packed section stands here as one zstd frame (RFC 8878) made with the dictionary. The frame states its
//! content size, which is at most 65536; a reader refuses what states more or nothing before it takes memory for it. No checksum,
//! no dictionary id (the file's own is 65537), nothing behind the frame: readers refuse what has them. Only `session`, `hint`, `native-access` and
//! `native-refresh` may have packing 1. Writers
//! use it if it makes the section shorter. `seen`, `out` and `device`, whose length says nothing of the user, are padded to 1, all others to `pad_to`.
//!
//! ## From the sections to the state
//!
//! A state is the sequence of its fields; each goes to the packed section, but for what the second table calls loose.
//! Both sections must be used up.
//!
//! | state | fields |
//! |---|---|
//! | session | id · sealed at(time) · started at(time) · ends at(time) · `auth_time`(time?) · access token(token) · refresh token(token?) · received at(time) · expires at(time) · issuer(text) · subject(text) · `sid`(text?) · scope(text) · claims(members) · further fields |
//! | seen | session(id) · activity(time) |
//! | out | number of marks(number), 2 to 4, or nothing for one · of each, the latest first: session(id) · until(time) |
//! | login | state(text) · nonce(text) · verifier(text) · issuer(text) · rest of return to(text) · begun at(time) · silent(flag) · `max_age`(number?) · `acr_values`(text?) · replaced session(id?) · further fields |
//! | login-state | beginning of return to(text) · whether the login has the rest(flag) · begun at(time) · 0 ordinary, 1 without prompt, 2 silent(number) · whether a newer sign-on or a class was asked for(flag) · whether it is a second try(flag) |
//! | hint | session(id) · ID token(token) |
//! | device | binding(id) · proved at(time) · counts until(time) |
//! | logout-state | return to(text) · begun at(time) |
//! | native-access | access token(token) · received at(time) · expires at(time) · end of a session that can be refreshed(time?) · common fields · further fields |
//! | native-refresh | refresh token(token) · when it ends(time?) · SHA-256 of the access token(digest) · common fields |
//! | native-code | all of native-login · code(text) · beginning of `state`(text) · nonce(text) · verifier(text) · `max_age`(number?) · `acr_values`(text?) · issued at(time) · further fields |
//! | native-login | redirect URI(text) · `state`(text?) · challenge(digest) · key(digest?) · begun at(time) |
//!
//! Common fields: id · sealed at(time) · started at(time) · ends at(time) · `auth_time`(time?) · issuer(text) · subject(text) ·
//! `sid`(text?) · scope(text) · claims(members) · key(digest?). A key is named by its thumbprint (RFC 7638).
//!
//! In `out` the place of a session's id may be taken by the name of a refresh that was refused: the first 16 bytes of
//! SHA-256 of the session's id and the SHA-256 of its refresh token and of its access token. The binding in `device` is the
//! first 16 bytes of SHA-256 of `sealgate binding 1`, a zero byte, the session's id and the key of its device.
//!
//! | field | bytes |
//! |---|---|
//! | number | LEB128 of at most 64 bits, as short as possible |
//! | id | loose: 16 bytes |
//! | digest | loose: 32 bytes, a SHA-256 |
//! | time | loose: number of seconds since the Unix epoch |
//! | flag | 0 or 1 |
//! | bytes | number of bytes, then these |
//! | text | bytes, at most 4096, that are UTF-8 |
//! | x? | flag, then x if it is 1 |
//! | loose bytes | number of bytes; these, loose |
//! | token | the number of parts that its dots divide it into, 1 to 5, and the parts; if there are more, 0 and loose bytes that are UTF-8; at most 65536 bytes in all |
//! | part | 0 and loose bytes: the part as it is, UTF-8 that is not base64url (as above). 1 and bytes: what it decodes to, which begins with `{`. 2 and loose bytes: what it decodes to, which begins otherwise or is empty. 3, loose bytes and loose bytes: a part that would be of kind 0, but that its whole groups of four characters, one at least, are base64url: what these decode to, and the one to three bytes behind them |
//! | members | number of members, then name(text) and value of each, names ascending by bytes and different |
//! | kid | loose: 8 bytes |
//! | further fields | none, or for each its number, then itself; numbers ascending and different. Of a session, 1: when the refresh token ends(time); 2: the public key of the device that the session is bound to, loose: x and y on P-256, 32 bytes each; 3: the key of the ring whose `DPoP` key the access token is bound to(kid). Of native-access, 1: as 3 of a session. Of a login or native-code, 1: that whose `DPoP` key the code is bound to(kid). Others are refused |
//! | value | 0 null · 1 false · 2 true · 3 number · 4 number n below 2^63, for -1-n · 5 IEEE 754 double, big-endian, neither infinite nor NaN · 6 text · 7 number of values, values · 8 members; in at most 127 others |
//!
//! Texts and bytes in tokens and members have at most 65536 bytes. A *return to* is a local path, and a reader refuses what a
//! writer would not have written for it ([`ReturnTo`](crate::names::ReturnTo)).
//!
//! ## Versions
//! - Version N reads N and N-1, and N-1 was written for at least as long as a cookie can live. A version, packing or dictionary is
//!   read one release before it is written, because replicas of two releases run side by side. The next version or packing
//!   is treated as an unknown key is: no session, and nothing is deleted (E19).
//! - Numbers of algorithms, packings and dictionaries are never reused. A dictionary is kept for as long as a cookie can live that
//!   was sealed with it (400 days, the longest `absolute_timeout`, after the last release that wrote it).
//!
//! # Invariants
//! - Nothing read from a cookie is used before it has been opened; the header decides only how much is joined.
//! - A purpose, frontend, client, issuer, origin or name other than the sealed one does not open (E2).
//! - One session is one sealed unit: chunks of two never mix (C5, E1).
//! - Opening fails in one way (E11). An unknown key is told apart only so that nothing is deleted for it (E19).
//! - A name that comes twice is refused whatever its values are (C10).
//!
//! # Spec
//! RFC 6265bis; the layered-cookies draft (`__Http-`, `__Host-Http-`); RFC 5116 §2; RFC 4648 §5; RFC 8878.
//!
//! # Why
//! - One AEAD over the whole, divided afterwards: truncation, reordering and splicing are caught by one tag.
//! - Count and length in front: a callback, which is a cross-site navigation, cannot see `Strict` cookies, so chunks of an
//!   older session may lie beyond those of a new one. They are not joined, and the next request's answer deletes them.
//! - An own encoding: canonical by construction, and it cannot grow by a dependency's change of mind.
//! - Compressed, although lengths then tell of contents (E15): it takes a third off a session, which makes one cookie of two.
//!   What could be guessed by watching lengths must share its stream with something that the guesser chooses, and claims can be
//!   chosen: a name, a group. So nothing that makes a token good is in that stream: opaque tokens, signatures and ciphertexts are
//!   loose, and what is left are claims of the same user. A login, which carries `returnUrl`, and the `state` of a logout are
//!   never compressed. Padding comes after compression (E16).
//! - Two sections: signatures among text would spoil the entropy coding of both, and cost time to copy through zstd.

mod base64url;
mod binding;
mod budget;
mod chunk;
mod claims;
mod codec;
mod cookies;
mod device;
mod encode;
mod envelope;
mod explain;
mod jar;
mod kind;
mod known_proof;
mod load;
mod login;
mod logout;
mod names;
mod native;
mod opened;
mod outcome;
mod pack;
#[cfg(feature = "fuzzing")]
pub(crate) mod probe;
mod set_cookie;
mod settings;
mod state;
mod store;
mod token_set;
mod token_text;
mod wallet;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use binding::Binding;
pub use explain::Explained;
pub use jar::Jar;
pub use native::{Digest, NativeAccess, NativeCode, NativeLogin, NativeRefresh};
pub use opened::{OpenSession, OpenedSessions};
pub use outcome::{Loaded, OpenResult, StoreError, TooLarge};
pub use set_cookie::SetCookies;
pub use settings::{Compression, DeviceBinding, JarSettings, SameSite, SessionSettings};
pub use state::{LoginAttempt, LoginState, LogoutHint, Manner, SESSION_STATE, Session, SessionId};
pub use token_set::TokenSet;
pub use wallet::Wallet;
