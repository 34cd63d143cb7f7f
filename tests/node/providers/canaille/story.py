"""Canaille as a provider, in memory. Its settings come as JSON in the first argument."""

import json
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import run_simple

asked = json.loads(sys.argv[1])

app = create_app({
    "SECRET_KEY": "a secret of the story",
    "SERVER_NAME": f"127.0.0.1:{asked['port']}",
    "PREFERRED_URL_SCHEME": "http",
    "OAUTH2_TOKEN_EXPIRES_IN": {"authorization_code": asked["token_seconds"], "refresh_token": asked["token_seconds"]},
    "CANAILLE": {"DATABASE": "memory"},
    "CANAILLE_OIDC": {
        # The consent page is shown to clients of loopback, too.
        "TRUSTED_DOMAINS": [],
        "ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)],
    },
})

with app.app_context(), Backend.instance.session():
    Backend.instance.save(models.User(
        user_name="alice", formatted_name="Alice of Canaille", family_name="of Canaille", given_name="Alice",
        emails=["alice@example.org"], password="alice-pw",
    ))
    client = models.Client(
        client_id="shop", client_secret=asked["client_secret"], client_name="shop", client_uri="https://shop.example.org",
        redirect_uris=[asked["redirect_uri"]], post_logout_redirect_uris=[asked["post_logout_uri"]],
        grant_types=["authorization_code", "refresh_token"], response_types=["code"], scope=["openid", "profile"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(client)
    # As its pages do, too: otherwise the ID token is for nobody.
    client.audience = [client]
    Backend.instance.save(client)

run_simple("127.0.0.1", asked["port"], app, threaded=True)
