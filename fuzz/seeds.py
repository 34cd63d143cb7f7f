#!/usr/bin/env python3
"""Writes the seeds of `corpus/envelope_body` from the wire format's tables: `python3 fuzz/seeds.py`. README.md says what they are."""
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus/envelope_body"
KINDS = {"session": 0, "login": 1, "hint": 2, "seen": 3, "out": 4, "logout-state": 5, "login-state": 6, "device": 7,
         "native-access": 8, "native-refresh": 9, "native-code": 10, "native-login": 11}
ID = b"\x07" * 16
SECTIONS = 0x80


def number(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return number(len(s)) + s


NOW, LATER, END = number(1_800_000_000), number(1_800_000_300), number(1_800_028_800)


def plain(kind, packed, loose, pad_to=1, packing=0, tail=b"", front=None):
    body = (front or number(pad_to)) + number(len(packed)) + packed + loose
    padding = -len(body) % max(pad_to, 1)
    return bytes([KINDS[kind], packing]) + body + bytes(padding) + tail


def sections(kind, packed, loose):
    return bytes([KINDS[kind], SECTIONS]) + struct.pack(">H", len(packed)) + packed + loose


JWT = b"\x03\x01" + text('{"alg":"RS256"}') + b"\x01" + text('{"sub":"alice"}') + b"\x02\x08"
SIGNATURE = bytes(range(1, 9))
NOT_A_JWT = b"not a JWT"
OPAQUE = b"\x01\x00" + number(len(NOT_A_JWT))
CLAIMS = b"\x05" + b"".join([
    text("a"), b"\x07\x06\x00\x01\x02\x03\x07\x04\x06\x05", struct.pack(">d", 1.5),
    text("email"), b"\x06", text("alice@id.example.com"), text("name"), b"\x06", text("Älice"),
    text("o"), b"\x08\x01", text("x"), b"\x08\x00", text("sub"), b"\x06", text("subject-of-alice")])


def session(access=OPAQUE, refresh=b"\x00", claims=b"\x00", auth=False, sid=b"\x00", issuer="https://id.example.com",
            signatures=None, subject="subject-of-alice"):
    signatures = (NOT_A_JWT if access == OPAQUE else b"") if signatures is None else signatures
    packed = bytes([auth]) + access + refresh + text(issuer) + text(subject) + sid + text("openid profile") + claims
    loose = ID + NOW + NOW + END + (NOW if auth else b"") + signatures + NOW + LATER
    return packed, loose


def login(silent=b"\x00", max_age=b"\x00", back="/orders/7?x=1", more=b"", replaces=b""):
    packed = (text("A" * 43) + text("canary-nonce") + text("canary-verifier") + text("https://id.example.com") + text(back)
              + silent + max_age + b"\x00" + bytes([bool(replaces)]) + more)
    return packed, NOW + replaces


KEY = b"\x09" * 32


def common(key=True, claims=CLAIMS):
    packed = (b"\x01" + text("https://id.example.com") + text("subject-of-alice") + b"\x01" + text("idp-session")
              + text("openid profile") + claims + bytes([key]))
    return packed, ID + NOW + NOW + END + NOW + (KEY if key else b"")


def native(token, loose, front, key=True):
    packed, rest = common(key)
    return token + front + packed, loose + rest


def app_login(full=True):
    packed = text("com.example.shop:/cb") + (b"\x01" + text("state") + b"\x01" if full else b"\x00\x00")
    return packed, KEY + (KEY if full else b"") + NOW


def seeds():
    full = session(JWT, b"\x01" + JWT, CLAIMS, True, b"\x01" + text("idp-session"), signatures=SIGNATURE * 2)
    small = session(access=b"\x01\x02\x00")
    yield "valid-session", plain("session", *session(sid=b"\x01" + text("idp-session")), pad_to=64)
    yield "valid-session-least", plain("session", *session(access=b"\x01\x02\x00", issuer="", subject=""))
    yield "valid-session-jwt-and-claims", plain("session", *full)
    yield "valid-session-whole-token", plain("session", *session(access=b"\x00" + number(11), signatures=b"a.b.c.d.e.f"))
    yield "valid-session-jwe", plain("session", *session(access=b"\x05\x01" + text('{"alg":"dir"}') + b"\x02\x00\x02\x01\x02\x01\x02\x01", signatures=b"abc"))
    yield "valid-session-odd-token", plain("session", *session(access=b"\x03\x00\x04\x01" + text('{ "a" : 1 }') + b"\x00\x01", signatures=b"eyJ=A"))
    yield "valid-session-random-letters", plain("session", *session(access=b"\x01\x03\x03\x02", signatures=b"\xa2\x96\xaaue"))
    yield "valid-login", plain("login", *login(), pad_to=64)
    yield "valid-login-over-a-session", plain("login", *login(replaces=ID), pad_to=64)
    yield "valid-login-silent", plain("login", *login(b"\x01", b"\x01" + number(600)), pad_to=256)
    yield "valid-hint", plain("hint", JWT, ID + SIGNATURE, pad_to=64)
    yield "valid-hint-opaque", plain("hint", OPAQUE, ID + NOT_A_JWT, pad_to=16)
    yield "valid-seen", plain("seen", b"", ID + NOW)
    yield "valid-out", plain("out", b"", ID + NOW)
    yield "valid-logout-state", plain("logout-state", text("/bye?x=1#top"), NOW, pad_to=64)
    # The sections themselves, compressed by the target.
    yield "valid-compressed-session", sections("session", *full)
    yield "valid-compressed-hint", sections("hint", b"\x03\x01" + text('{"alg":"RS256","typ":"JWT","kid":"1"}') + b"\x01"
                                            + text('{"iss":"https://id.example.com","sub":"alice","aud":"shop"}') + b"\x02\x08", ID + SIGNATURE)
    yield "refused-compressed-login", sections("login", *login(back="/" + "a" * 300))
    yield "refused-compressed-trailing", sections("session", full[0] + b"\x00", full[1])
    yield "valid-compressed-long", sections("session", *session(access=b"\x01\x01" + text("{" + "e.30" * 3000)))
    # Frames as they are.
    yield "refused-frame-none", plain("session", b"no frame at all", small[1], packing=1)
    yield "refused-frame-bomb", plain("session", bytes.fromhex("28b52ffda0000001004b00000000"), small[1], packing=1)
    yield "refused-frame-huge", plain("session", bytes.fromhex("28b52ffde0ffffffffffffffff0100000a"), small[1], packing=1)
    yield "refused-frame-without-size", plain("session", bytes.fromhex("28b52ffd000819000061 6263".replace(" ", "")), small[1], packing=1)
    yield "refused-frame-skippable", plain("session", bytes.fromhex("502a4d1800000000"), small[1], packing=1)
    yield "valid-device", plain("device", b"", ID + NOW + NOW)
    yield "refused-device-padded", plain("device", b"", ID + NOW + NOW, pad_to=64)[:-1]
    yield "refused-device-without-end", plain("device", b"", ID + NOW)
    yield "refused-frame-in-seen", plain("seen", bytes.fromhex("28b52ffd2000010000"), ID + NOW, packing=1)
    yield "refused-packing-2", plain("session", *small, packing=2)
    yield "refused-empty", b""
    yield "refused-cut", plain("session", *full)[:90]
    yield "refused-claim-not-a-number", plain("session", *session(claims=b"\x01\x01a\x05" + struct.pack(">d", float("nan"))))
    yield "refused-claims-descending", plain("session", *session(claims=b"\x02\x01b\x00\x01a\x00"))
    yield "refused-claims-more-than-bytes", plain("session", *session(claims=b"\xff\xff\xff\xff\x0f\x01a\x00"))
    yield "refused-claims-too-deep", plain("session", *session(claims=b"\x01\x01a" + b"\x07\x01" * 300 + b"\x00"))
    yield "refused-claims-twice", plain("session", *session(claims=b"\x02\x01a\x00\x01a\x00"))
    yield "refused-flag-two", plain("login", *login(b"\x02"))
    yield "refused-part-could-be-decoded", plain("session", *session(access=b"\x01\x00\x04", signatures=b"AQID"))
    yield "refused-part-of-whole-groups", plain("session", *session(access=b"\x01\x03\x03\x00", signatures=b"\xa2\x96\xaa"))
    yield "refused-part-could-be-divided", plain("session", *session(access=b"\x01\x00\x06", signatures=b"opaque"))
    yield "refused-part-text-is-binary", plain("session", *session(access=b"\x01\x01" + text("AQID")))
    yield "refused-part-binary-is-text", plain("session", *session(access=b"\x01\x02\x02", signatures=b"{}"))
    yield "refused-part-with-a-dot", plain("session", *session(access=b"\x01\x00\x03", signatures=b"a.b"))
    yield "refused-token-whole-for-nothing", plain("session", *session(access=b"\x00" + number(12), signatures=b"e30.e30.AQID"))
    yield "refused-pad-to-not-shortest", plain("out", b"", ID + NOW, front=b"\x81\x00")
    yield "refused-pad-to-zero", plain("out", b"", ID + NOW, front=b"\x00")
    yield "refused-pad-to-over-4096", plain("out", b"", ID + NOW, pad_to=4097)
    yield "refused-padding-long", plain("seen", b"", ID + NOW, pad_to=64, tail=bytes(64))
    yield "refused-padding-short", plain("seen", b"", ID + NOW, pad_to=64)[:-1]
    yield "refused-padding-not-zero", plain("seen", b"", ID + NOW, pad_to=64)[:-1] + b"\x01"
    state = text("/orders/7?x=1") + b"\x01"
    yield "valid-login-state", plain("login-state", state + b"\x02\x00\x01", NOW, 64)
    yield "refused-login-state-manner", plain("login-state", state + b"\x03\x00\x01", NOW, 64)
    yield "refused-login-state-flag", plain("login-state", state + b"\x02\x00\x02", NOW, 64)
    access = native(JWT, SIGNATURE + NOW + LATER + END, b"\x01")
    yield "valid-native-access", plain("native-access", *access, 64)
    yield "valid-native-access-compressed", sections("native-access", *access)
    yield "valid-native-access-alone", plain("native-access", *native(OPAQUE, NOT_A_JWT + NOW + LATER, b"\x00", False), 64)
    yield "refused-native-access-trailing", plain("native-access", access[0] + b"\x00", access[1], 64)
    refresh = native(OPAQUE, NOT_A_JWT + END + KEY, b"\x01")
    yield "valid-native-refresh", plain("native-refresh", *refresh, 64)
    yield "refused-native-refresh-short", plain("native-refresh", refresh[0], refresh[1][:-1])
    yield "valid-native-login", plain("native-login", *app_login(), 64)
    yield "valid-native-login-least", plain("native-login", *app_login(False), 64)
    code = app_login()[0] + text("code") + text("A" * 43) + text("nonce") + text("verifier") + b"\x00\x00", app_login()[1] + NOW
    yield "valid-native-code", plain("native-code", *code, 64)
    yield "refused-native-code-compressed", sections("native-code", code[0] + b"a" * 200, code[1])
    yield "refused-packed-longer-than-all", bytes([KINDS["seen"], 0, 1, 0x7F]) + ID + NOW
    yield "refused-return-to-elsewhere", plain("logout-state", text("//evil.test/"), NOW)
    yield "refused-text-over-limit", plain("session", *session(issuer="s" * 4097))
    yield "refused-time-not-shortest", plain("out", b"", ID + b"\xc0\x84\xbd\x00")
    yield "refused-time-over-64-bits", plain("out", b"", ID + b"\xff" * 9 + b"\x02")
    yield "refused-trailing-byte", plain("out", b"", ID + NOW, tail=b"\x00")
    yield "refused-trailing-text", plain("logout-state", text("/bye") + b"\x00", NOW)


for name, data in seeds():
    (HERE / name).write_bytes(data)
