#!/usr/bin/env python3
"""Opens the test vectors from the text of `src/session/mod.rs` alone: a second implementation, to keep that text honest.

    python3 tests/vectors/open.py        needs the package `cryptography` and libzstd
"""
import base64
import ctypes
import ctypes.util
import hashlib
import json
import math
import pathlib
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).parent
DICTIONARY = (HERE / "../../src/session/dictionary/1.zdict").read_bytes()
ALGORITHMS = {"XAES-256-GCM": 1, "XChaCha20-Poly1305": 2}
ZSTD = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
ZSTD.ZSTD_createDCtx.restype = ctypes.c_void_p
ZSTD.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
ZSTD.ZSTD_findFrameCompressedSize.restype = ctypes.c_size_t
ZSTD.ZSTD_decompress_usingDict.restype = ctypes.c_size_t


class Rejected(Exception):
    pass


class UnknownKey(Exception):
    pass


def need(condition):
    if not condition:
        raise Rejected


def unb64(text):
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text else None


# ---- ciphers


def xaes(key, nonce, sealed, aad):
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    block = lambda b: ecb.update(b)
    low = int.from_bytes(block(bytes(16)), "big")
    k1 = ((low << 1) & (1 << 128) - 1) ^ (0x87 if low >> 127 else 0)
    derived = b"".join(block((int.from_bytes(bytes([0, n, 0x58, 0]) + nonce[:12], "big") ^ k1).to_bytes(16, "big")) for n in (1, 2))
    return AESGCM(derived).decrypt(nonce[12:], sealed, aad)


def xchacha(key, nonce, sealed, aad):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce[:16]))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF

    for _ in range(10):
        for columns in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*columns)
    return ChaCha20Poly1305(struct.pack("<8I", *state[:4], *state[12:])).decrypt(bytes(4) + nonce[16:], sealed, aad)


# ---- from the cookies to the sections


def sections(case):
    name = case["cookies"][0][0]
    values = [value for _, value in case["cookies"]]
    need(values)
    header = unb64(values[0][:8])
    need(header is not None and len(header) == 6)
    version, packing, count, length = struct.unpack(">BBBH", header[:5])
    if version == 2 or version == 1 and packing == 2:
        raise UnknownKey
    need(version == 1 and packing < 2)
    text_len = -(-(5 + length) * 4 // 3)
    full = 3800 - len(name + ".15") if case["purpose"] == "session" else 4096 - len(name)
    if case["purpose"] in ("native-access", "native-refresh", "native-code"):
        full = 12288
    need(1 <= count <= (16 if case["purpose"] == "session" else 1) and count == -(-text_len // full) <= len(values))
    values = values[:count]
    need(all(len(value) == full for value in values[:-1]) and sum(map(len, values)) == text_len)
    data = unb64("".join(values))
    need(data is not None)
    algorithm, kid, nonce, sealed = data[5], data[6:14], data[14:38], data[38:]

    secret = unb64(case["key"]["secret"])
    need(hashlib.sha256(b"sealgate kid 1\0" + secret).digest()[:8].hex() == case["key"]["kid"])
    if kid.hex() != case["key"]["kid"]:
        raise UnknownKey
    need(algorithm == ALGORITHMS[case["key"]["alg"]])
    key = HKDF(hashes.SHA256(), 32, None, case["purpose"].encode()).derive(secret)
    d = lambda x: struct.pack(">Q", len(x)) + x
    place = [case["purpose"], name] + [case["place"][part] for part in ("frontend", "client_id", "issuer", "origin")]
    aad = d(bytes([algorithm])) + d(kid) + d(header[:5] + b"".join(d(part.encode()) for part in place))
    try:
        plaintext = {1: xaes, 2: xchacha}[algorithm](key, nonce, sealed, aad)
    except InvalidTag:
        raise Rejected from None
    if case["plaintext"]:
        need(plaintext.hex() == case["plaintext"])

    reader = Reader(plaintext, b"")
    pad_to, size = reader.number(), reader.number()
    need(1 <= pad_to <= 4096 and len(plaintext) % pad_to == 0 and size <= 65536)
    packed = reader.take(size)
    if packing == 1:
        need(case["purpose"] in ("session", "hint", "native-access", "native-refresh"))
        packed = inflate(packed)
    return packed, reader.packed, pad_to


def inflate(frame):
    need(frame[:4] == bytes([0x28, 0xB5, 0x2F, 0xFD]) and len(frame) > 4 and not frame[4] & 7)
    need(ZSTD.ZSTD_findFrameCompressedSize(frame, ctypes.c_size_t(len(frame))) == len(frame))
    size = ZSTD.ZSTD_getFrameContentSize(frame, ctypes.c_size_t(len(frame)))
    need(size <= 65536)
    out = ctypes.create_string_buffer(size + 1)
    context = ctypes.c_void_p(ZSTD.ZSTD_createDCtx())
    got = ZSTD.ZSTD_decompress_usingDict(context, out, ctypes.c_size_t(size), frame, ctypes.c_size_t(len(frame)), DICTIONARY,
                                         ctypes.c_size_t(len(DICTIONARY)))
    ZSTD.ZSTD_freeDCtx(context)
    need(got == size)
    return out.raw[:size]


# ---- from the sections to the state


class Reader:
    def __init__(self, packed, loose):
        self.packed, self.rest = packed, loose

    def take(self, n):
        need(len(self.packed) >= n)
        taken, self.packed = self.packed[:n], self.packed[n:]
        return taken

    def loose(self, n):
        need(len(self.rest) >= n)
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken

    def number(self, take=None):
        value = 0
        for shift in range(0, 70, 7):
            byte = (take or self.take)(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                need((byte or not shift) and value < 1 << 64)
                return value
        raise Rejected

    def time(self):
        return self.number(self.loose)

    def id(self):
        return self.loose(16).hex()

    def digest(self):
        return self.loose(32).hex()

    def digest_text(self):
        return base64.urlsafe_b64encode(self.loose(32)).rstrip(b"=").decode()

    def native_login(self):
        return self.fields(STATES["native-login"])

    def fields(self, names):
        state = {}
        for field in names.split():
            name, kind = field.split(":")
            read = getattr(self, kind.rstrip("?"))
            state[name] = self.maybe(read) if kind.endswith("?") else read()
        return state

    def kid(self):
        return self.loose(8).hex()

    def flag(self):
        flag = self.take(1)[0]
        need(flag < 2)
        return bool(flag)

    def bytes(self, limit=65536):
        size = self.number()
        need(size <= limit)
        return self.take(size)

    def text(self, limit=4096):
        try:
            return self.bytes(limit).decode()
        except UnicodeDecodeError:
            raise Rejected from None

    def loose_bytes(self):
        size = self.number()
        need(size <= 65536)
        return self.loose(size)

    def loose_text(self):
        try:
            return self.loose_bytes().decode()
        except UnicodeDecodeError:
            raise Rejected from None

    def maybe(self, read):
        return read() if self.flag() else None

    def token(self):
        count = self.number()
        need(count <= 5)
        token = ".".join(self.part() for _ in range(count)) if count else self.loose_text()
        need(len(token.encode()) <= 65536 and (count or token.count(".") >= 5))
        return token

    def part(self):
        kind = self.take(1)[0]
        if kind == 0:
            text = self.loose_text()
            whole = len(text.encode()) // 4 * 4
            front = text.encode()[:whole].decode(errors="replace")
            need(unb64(text) is None and "." not in text and (not front or len(text.encode()) == whole or unb64(front) is None))
            return text
        if kind == 3:
            front, rest = self.loose_bytes(), self.loose_text()
            text = base64.urlsafe_b64encode(front).rstrip(b"=").decode() + rest
            need(front and len(front) % 3 == 0 and 1 <= len(rest.encode()) <= 3 and "." not in rest and unb64(text) is None)
            return text
        need(kind < 3)
        data = self.bytes() if kind == 1 else self.loose_bytes()
        need(data.startswith(b"{") == (kind == 1))
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def members(self, depth=0):
        members, last = {}, None
        for _ in range(self.number()):
            name = self.text(65536)
            need(last is None or last < name.encode())
            last, members[name] = name.encode(), self.value(depth)
        return members

    def value(self, depth):
        kind = self.take(1)[0]
        need(kind < 9 and depth < 128)
        return [
            lambda: None, lambda: False, lambda: True, self.number, self.negative, self.double, lambda: self.text(65536),
            lambda: [self.value(depth + 1) for _ in range(self.number())], lambda: self.members(depth + 1),
        ][kind]()

    def negative(self):
        n = self.number()
        need(n < 1 << 63)
        return -1 - n

    def double(self):
        number = struct.unpack(">d", self.take(8))[0]
        need(math.isfinite(number))
        return number


COMMON = ("id:id sealed_at:time started_at:time ends_at:time auth_time:time? issuer:text subject:text sid:text? scope:text "
          "claims:members key:digest?")
STATES = {
    "session": "id:id sealed_at:time started_at:time ends_at:time auth_time:time? access_token:token refresh_token:token? "
               "received_at:time expires_at:time issuer:text subject:text sid:text? scope:text claims:members further",
    "seen": "session:id activity:time",
    "device": "binding:id proved_at:time until:time",
    "out": "session:id until:time",
    "login": "state:text nonce:text verifier:text issuer:text return_to:text begun_at:time silent:flag max_age:number? acr_values:text? "
             "replaces:id? further",
    "hint": "session:id id_token:token",
    "login-state": "head:text is_cut:flag begun_at:time manner:number is_demanding:flag is_second:flag",
    "logout-state": "return_to:text begun_at:time",
    "native-access": f"access_token:token received_at:time expires_at:time lasts_until:time? {COMMON} further",
    "native-refresh": f"refresh_token:token refresh_ends_at:time? access_token_sha256:digest_text {COMMON}",
    "native-login": "redirect_uri:text state:text? challenge:digest key:digest? begun_at:time",
    "native-code": "login:native_login code:text state:text nonce:text verifier:text max_age:number? acr_values:text? issued_at:time further",
}


FURTHER = {
    "session": {
        1: ("refresh_ends_at", Reader.time),
        2: ("device", lambda reader: reader.loose(64).hex()),
        3: ("token_key", Reader.kid),
    },
    "login": {1: ("code_key", Reader.kid)},
    "native-access": {1: ("token_key", Reader.kid)},
    "native-code": {1: ("code_key", Reader.kid)},
}


def further(reader, known):
    fields, last = {}, 0
    while reader.packed:
        number = reader.number()
        need(number > last and number in known)
        last, (name, read) = number, known[number]
        fields[name] = read(reader)
    return fields


def opened(case):
    packed, loose, pad_to = sections(case)
    reader, state = Reader(packed, loose), {}
    if case["purpose"] == "out" and reader.packed:
        count = reader.number()
        need(2 <= count <= 4)
        state = [{"session": reader.id(), "until": reader.time()} for _ in range(count)]
        need(not reader.packed and len(reader.rest) < pad_to and not any(reader.rest))
        return state
    fields = STATES[case["purpose"]]
    state = reader.fields(fields.removesuffix(" further"))
    if fields.endswith(" further"):
        state |= further(reader, FURTHER[case["purpose"]])
    need(not reader.packed and len(reader.rest) < pad_to and not any(reader.rest))
    return state


def main():
    count = 0
    for file in sorted(HERE.glob("v1/*.json")):
        for case in json.loads(file.read_text()):
            try:
                result = opened(case)
            except Rejected:
                result = "rejected"
            except UnknownKey:
                result = "unknown key"
            expected = case.get("fails") or case["state"]
            assert result == expected, f"{file.name}: {case['about']}: {result}"
            count += 1
    print(f"{count} vectors are as they should be")


if __name__ == "__main__":
    main()
