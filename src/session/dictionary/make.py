#!/usr/bin/env python3
"""How `1.zdict` was made. It is never made again: cookies sealed with it live in browsers.

    python3 make.py 1.zdict        needs libzstd (1.5.4 was used); the same libzstd makes the same bytes

A dictionary of the format that RFC 8878 §5 describes: entropy tables, then content. The content is TEXTS, names of
claims and texts that are the same for many users, as they stand in tokens and in the fields of a session; the last are
the cheapest to refer to. The entropy tables are fitted to SAMPLES sessions of made-up people at made-up providers, with
random identifiers; no text of a sample is in the content unless it is in TEXTS.

A new dictionary gets a new file, a new number here and in `pack.rs`, and is read one release before it is written.
"""
import base64
import ctypes
import ctypes.util
import json
import random
import sys
import uuid

NUMBER = 1
# Numbers that the format reserves for private use begin at 32768 (RFC 8878 §5).
DICTIONARY_ID = 0x10000 + NUMBER
SAMPLES = 4000
LEVEL = 19

TEXTS = [
    # Rare: what some providers add.
    '"urn:zitadel:iam:org:project:roles":{"', '"https://', '"urn:', '.onmicrosoft.com', '"login_hint":"',
    '"preferred_language":"', '"locale":"en-US"', '"locale":"en"', '"locale":"de"', '"zoneinfo":"Europe/', '"birthdate":"',
    '"phone_number_verified":false', '"phone_number":"+', '"address":{"formatted":"', '"street_address":"',
    '"locality":"', '"postal_code":"', '"country":"', '"website":"https://', '"profile":"https://', '"gender":"',
    '"middle_name":"', '"organization":"', '"org_id":"org_', '"org_name":"', '"department":"', '"employee_id":"',
    '"entitlements":["', '"client_metadata":{', '"cnf":{"jkt":"', '"cnf":{"x5t#S256":"', '"act":{"sub":"', '"may_act":{"',
    '"authorization_details":[{"type":"', '"amr":["pwd","mfa"]', '"amr":["pwd"]', '"amr":["mfa"]', '"amr":["otp"]',
    '"s_hash":"', '"c_hash":"', '"at_hash":"', '"updated_at":', '"picture":"https://', '"nickname":"',
    '"hd":"', '"cognito:groups":["', '"cognito:username":"', '"event_id":"', '"token_use":"access"',
    '"token_use":"id"', '"gty":"refresh_token"', '"gty":["authorization_code","refresh_token"]',
    '"permissions":["read:', '","write:', '","create:', '","update:', '","delete:', '"ext":{', '"rtt":"',
    '"cid":"', '"uid":"', '"scp":["openid","profile","email","offline_access"]',
    # Entra.
    '{"typ":"JWT","nonce":"', '{"typ":"JWT","alg":"RS256","x5t":"', '","kid":"', '"aud":"api://',
    '"iss":"https://login.microsoftonline.com/', '"iss":"https://sts.windows.net/', '/v2.0","iat":', ',"nbf":',
    '"acct":0,"acr":"1","acrs":["p1"],"aio":"', '"amr":["pwd","mfa"],"app_displayname":"', '","appid":"',
    '","appidacr":"1","azp":"', '","azpacr":"1","groups":["', '"deviceid":"', '","family_name":"', '","given_name":"',
    '"idtyp":"user","ipaddr":"', '","login_hint":"', '","oid":"', '","onprem_sid":"S-1-5-21-', '","platf":"', '"puid":"',
    '","rh":"', '","roles":["', '","scp":"', 'User.Read profile openid email', '","sid":"', '"signin_state":["kmsi"]',
    '","sub":"', '","tenant_region_scope":"EU","tid":"', '","unique_name":"', '","upn":"', '","uti":"', '","ver":"2.0"',
    '"ver":"1.0"', '"verified_primary_email":["', '"wids":["b79fbf4d-3ef9-4689-8143-76b194e85509"]', '"xms_ftd":"',
    '","xms_idrel":"', '"xms_st":{"sub":"', '"},"xms_tcdt":', '"xms_tdbr":"EU"', '"xms_cc":["CP1"]',
    # Keycloak.
    '{"alg":"RS256","typ" : "JWT","kid" : "', '{"alg":"ES256","typ" : "JWT","kid" : "',
    '{"alg":"HS512","typ" : "JWT","kid" : "', '{"alg":"HS256","typ" : "JWT","kid" : "',
    '","typ":"Refresh","azp":"', '"aud":["account","', '"jti":"onrtac:', '"jti":"onrtrt:', '"/realms/',
    '","session_state":"', '"nonce":"', '","sid":"', '","acr":"1","allowed-origins":["https://',
    '"],"realm_access":{"roles":["', 'default-roles-', '","offline_access","', 'uma_authorization"',
    ']},"resource_access":{"', '":{"roles":["', 'account":{"roles":["manage-account","manage-account-links","view-profile"]}}',
    ',"scope":"openid email profile","sid":"', 'openid basic email profile roles web-origins acr',
    '"upn":"', '"groups":["/', '","email_verified":true,"name":"', '","email_verified":false', ',"preferred_username":"',
    '","given_name":"', '","family_name":"', '","email":"', '"locale":"', '.com"}', '.org"}', '.net"}', '.io"}',
    # Most providers.
    '"client_id":"', '"auth_time":1', '"cid":"', '"role":"', '"roles":["admin","user"]', '"groups":["',
    '","permissions":["', '"username":"', '"preferred_username":"', '"tenant":"', '"tenant_id":"',
    '"azp":"', '"acr":"', '"amr":["', '"sid":"', '"oid":"', '"tid":"', '"ver":', '"typ":"', '"typ":"Bearer"', '"typ":"ID"',
    '"email":"', '"email_verified":true', '"phone_number_verified":true', '"name":"', '"given_name":"', '"family_name":"',
    '{"alg":"RS512","typ":"', '{"alg":"PS256","typ":"', '{"alg":"ES384","typ":"', '{"alg":"EdDSA","typ":"',
    '{"alg":"ES256","typ":"', '{"alg":"RS256","typ":"', '{"typ":"at+jwt","alg":"', '{"typ":"JWT","alg":"',
    '","typ":"at+jwt","kid":"', '","typ":"JWT","kid":"', '{"kid":"', '","alg":"RS256"}', '","typ":"JWT"}',
    '{"alg":"RSA-OAEP","enc":"A256GCM"', '{"alg":"dir","enc":"A256CBC-HS512"',
    '"scope":"openid profile email offline_access"', '"scope":"openid profile email"', '"scope":"openid profile"',
    '","aud":["https://api.', '","aud":"https://', '","client_id":"', '","azp":"', '","scope":"openid ',
    '{"iss":"https://', '","sub":"auth0|', '","sub":"', '","aud":"', '","iat":17', ',"nbf":17', ',"exp":17', ',"exp":18',
    ',"iat":18', ',"iat":17', ',"auth_time":17', ',"auth_time":18', ',"jti":"', '","jti":"', '","iss":"https://',
    '{"exp":18', '{"exp":17', '"}',
    # A session's own fields: parts of tokens and their lengths, kept claims, scope.
    '\x03\x01', '\x80\x02', '\x03\x02\x40', '\x03\x02\x60',
    '\x00\x01\x01\x02\x20', '\x00\x00\x01\x01\x02',
    '\x06groups\x07', '\x05roles\x07', '\x06locale\x06', '\x07picture\x06', '\x12preferred_username\x06',
    '\x0bfamily_name\x06', '\x0agiven_name\x06', '\x0eemail_verified\x02', '\x14openid profile email',
    '\x0eopenid profile', '\x24openid profile email offline_access',
    '\x04\x05email\x06\x14', '\x03sub\x06\x24', '\x03sid\x06\x24', '\x04name\x06\x0b',
]


def number(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return number(len(s)) + s


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(part):
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return None
    return data if b64(data) == part else None


def token(s):
    """As `token_text.rs` writes it; what goes to the loose section is left out."""
    parts = s.split(".")
    if len(parts) > 5:
        return number(0) + text(s)
    out = number(len(parts))
    for part in parts:
        data = unb64(part)
        if data is None:
            out += b"\0" + text(part)
        elif data.startswith(b"{"):
            out += b"\1" + text(data)
        else:
            out += b"\2" + number(len(data))
    return out


def members(claims):
    out = number(len(claims))
    for name in sorted(claims, key=lambda n: n.encode()):
        out += text(name) + value(claims[name])
    return out


def value(v):
    if v is None:
        return b"\0"
    if v is False:
        return b"\1"
    if v is True:
        return b"\2"
    if isinstance(v, int):
        return b"\3" + number(v)
    if isinstance(v, str):
        return b"\6" + text(v)
    if isinstance(v, list):
        return b"\7" + number(len(v)) + b"".join(map(value, v))
    return b"\x08" + members(v)


def option(v, write):
    return b"\0" if v is None else b"\1" + write(v)


def session(issuer, claims, access, refresh, scope, kept):
    """The packed section of a session (module head of `session`)."""
    return (
        option(claims.get("auth_time"), lambda _: b"")
        + token(access)
        + option(refresh, token)
        + text(issuer)
        + text(claims["sub"])
        + option(claims.get("sid"), text)
        + text(scope)
        + members({name: claims[name] for name in kept if name in claims})
    )


# ---- made-up people and providers

R = random.Random(20261121)
GIVEN = "Lena Otto Mira Ivo Greta Sven Ines Malte Runa Pavel Zoe Hugo Aylin Timo Nele Kofi Priya Wei Sofia Jan".split()
FAMILY = "Brandt Okafor Lindqvist Moreau Novak Hartmann Silva Petrov Tanaka Weiss Jensen Rossi Keller Dubois".split()
PLACES = "acme globex initech umbrella contoso fabrikam hooli vandelay wonka stark".split()
TLDS = "com org net io de eu".split()


def uid():
    return str(uuid.UUID(int=R.getrandbits(128), version=4))


def rnd(n):
    return bytes(R.getrandbits(8) for _ in range(n))


def compact(header, payload, signature):
    if isinstance(header, dict):
        header = json.dumps(header, separators=(",", ":"))
    return ".".join([b64(header.encode()), b64(json.dumps(payload, separators=(",", ":")).encode()), b64(rnd(signature))])


def person():
    given, family, place = R.choice(GIVEN), R.choice(FAMILY), R.choice(PLACES)
    domain = f"{place}.{R.choice(TLDS)}"
    now = R.randrange(1_760_000_000, 1_990_000_000)
    return given, family, place, domain, now


def keycloak():
    given, family, place, domain, now = person()
    iss = f"https://{R.choice(['id', 'sso', 'auth', 'login'])}.{domain}/realms/{R.choice([place, 'main', 'prod'])}"
    sub, sid, client = uid(), uid(), R.choice(["web", "portal", "spa", "app"])
    scope = R.choice(["openid email profile", "openid profile email", "openid profile"])
    login = f"{given}.{family}".lower()
    who = {"email_verified": True, "name": f"{given} {family}", "preferred_username": login, "given_name": given,
           "family_name": family, "email": f"{login}@{domain}"}
    roles = [f"default-roles-{place}", "offline_access", "uma_authorization"] + R.sample(
        ["buyer", "seller", "auditor", "support", "editor", "viewer", "manager", "approver"], R.randrange(0, 6))
    kid = b64(rnd(32))
    groups = {"groups": [uid() for _ in range(R.choice([0, 0, 3, 10, 40]))]} if R.random() < .3 else {}
    access = compact('{"alg":"RS256","typ" : "JWT","kid" : "%s"}' % kid, {
        "exp": now + 300, "iat": now, "auth_time": now - R.randrange(0, 9), "jti": R.choice(["onrtac:", "", "trrtcc:"]) + uid(), "iss": iss,
        "aud": R.choice(["account", ["account", "orders"]]), "sub": sub, "typ": "Bearer", "azp": client, "sid": sid,
        "acr": "1", "allowed-origins": [f"https://{client}.{domain}"], "realm_access": {"roles": roles},
        "resource_access": {client: {"roles": ["user"]}, "account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}}
        if R.random() < .5 else {"account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}},
        "scope": scope, **groups, **who}, 256)
    refresh = compact('{"alg":"HS512","typ" : "JWT","kid" : "%s"}' % uid(), {
        "exp": now + 1800, "iat": now, "jti": uid(), "iss": iss, "aud": iss, "sub": sub, "typ": "Refresh", "azp": client,
        "sid": sid, "scope": R.choice([scope, "openid basic email profile roles web-origins acr"])}, 64)
    return session(iss, {"sub": sub, "sid": sid, "auth_time": now, **who}, access, refresh, scope, kept())


def entra():
    given, family, place, domain, now = person()
    tid, client, oid, sid = uid(), uid(), uid(), uid()
    iss = f"https://login.microsoftonline.com/{tid}/v2.0"
    login = f"{given}.{family}@{domain}".lower()
    access = compact({"typ": "JWT", "alg": "RS256", "x5t": b64(rnd(20)), "kid": b64(rnd(20))}, {
        "aud": R.choice([client, f"api://{client}"]), "iss": iss, "iat": now, "nbf": now, "exp": now + R.randrange(3600, 5400), "acr": "1", "aio": b64(rnd(72)),
        "amr": ["pwd", "mfa"], "app_displayname": "Portal", "azp": client, "azpacr": "1", "email": login, "family_name": family,
        "given_name": given, "groups": [uid() for _ in range(R.choice([0, 2, 8, 20]))], "ipaddr": "203.0.113.%d" % R.randrange(255),
        "name": f"{given} {family}", "oid": oid, "preferred_username": login, "puid": rnd(8).hex().upper(), "rh": "1." + b64(rnd(40)) + ".",
        "roles": R.sample(["Orders.Read", "Orders.Write", "Reports.Read", "Admin"], 2), "scp": "access_as_user", "sid": sid, "sub": b64(rnd(32)),
        "tid": tid, "upn": login, "uti": b64(rnd(16)), "ver": "2.0", "wids": [uid()], "xms_ftd": b64(rnd(40))}, 256)
    refresh = "1." + b64(rnd(36)) + "." + b64(rnd(R.randrange(600, 900)))
    claims = {"sub": b64(rnd(32)), "name": f"{given} {family}", "email": login, "sid": sid}
    return session(iss, claims, access, refresh, R.choice(["openid profile email offline_access", f"api://{client}/access_as_user"]), kept())


def generic():
    given, family, place, domain, now = person()
    iss = f"https://{R.choice(['id', 'sso', 'auth', 'login', 'accounts'])}.{domain}" + R.choice(["", "/", "/oauth2/default"])
    sub = R.choice([uid(), "auth0|" + rnd(12).hex(), "00u" + b64(rnd(12)), str(R.randrange(10**8, 10**10))])
    sid, client = R.choice([uid(), b64(rnd(16)), b64(rnd(32))]), R.choice([b64(rnd(24)), "portal", "shop-web", uid()])
    scope = R.choice(["openid profile email offline_access", "openid profile email", "openid profile orders.read orders.write"])
    who = {"name": f"{given} {family}", "email": f"{given}@{domain}".lower(), "email_verified": True}
    payload = {"iss": iss, "sub": sub, "aud": R.choice([f"https://api.{domain}", [f"https://api.{domain}", f"{iss}/userinfo"]]),
               "iat": now, "exp": now + R.choice([300, 600, 3600, 86400])}
    for name, v in [("auth_time", now), ("azp", client), ("client_id", client), ("jti", R.choice([uid(), b64(rnd(16))])), ("scope", scope),
                    ("sid", sid), ("acr", "1"), ("amr", ["pwd"]), ("permissions", ["read:orders", "write:orders"]), ("roles", ["admin", "user"]),
                    ("groups", [R.choice(PLACES) for _ in range(R.randrange(1, 5))]), ("nbf", now), ("preferred_username", given.lower()),
                    ("given_name", given), ("family_name", family), *who.items()]:
        if R.random() < .5:
            payload[name] = v
    items = list(payload.items())
    if R.random() < .5:
        R.shuffle(items)
    alg, size = R.choice([("RS256", 256), ("RS256", 256), ("ES256", 64), ("PS256", 256), ("EdDSA", 64)])
    header = R.choice([{"alg": alg, "typ": "at+jwt", "kid": b64(rnd(32))}, {"alg": alg, "typ": "JWT", "kid": b64(rnd(15))}, {"alg": alg, "kid": uid(), "typ": "JWT"}])
    access = compact(header, dict(items), size)
    refresh = R.choice([b64(rnd(32)), b64(rnd(48)), None, "v1." + b64(rnd(40)), rnd(32).hex()])
    return session(iss, {"sub": sub, "sid": sid, **who}, access, refresh, scope, kept())


def kept():
    return R.choice([["sub", "name", "email", "sid"]] * 6 + [["sub"], ["sub", "name", "preferred_username", "email"], ["sub", "email", "roles"]])


def main(path):
    samples = [R.choice([keycloak, entra, generic])() for _ in range(SAMPLES)]
    content = "".join(TEXTS).encode("latin-1")
    lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")

    class Params(ctypes.Structure):
        _fields_ = [("level", ctypes.c_int), ("notify", ctypes.c_uint), ("dict_id", ctypes.c_uint)]

    room = ctypes.create_string_buffer(len(content) + 4096)
    sizes = (ctypes.c_size_t * len(samples))(*map(len, samples))
    lib.ZDICT_finalizeDictionary.restype = ctypes.c_size_t
    lib.ZDICT_finalizeDictionary.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
                                             ctypes.c_char_p, ctypes.c_void_p, ctypes.c_uint, Params]
    size = lib.ZDICT_finalizeDictionary(room, len(room), content, len(content), b"".join(samples), sizes, len(samples),
                                        Params(LEVEL, 0, DICTIONARY_ID))
    if lib.ZDICT_isError(ctypes.c_size_t(size)):
        sys.exit("libzstd refuses")
    with open(path, "wb") as file:
        file.write(room.raw[:size])
    print(f"{path}: {size} bytes, content {len(content)}, {SAMPLES} samples")


if __name__ == "__main__":
    main(sys.argv[1])
