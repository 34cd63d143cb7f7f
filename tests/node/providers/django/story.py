"""Django with django-oauth-toolkit as a provider, in one file. Its settings come as JSON in the first argument."""

import json
import sys

import django
from django.conf import settings
from django.core.management import call_command
from jwcrypto import jwk

asked = json.loads(sys.argv[1])

LOGIN = '<form method="post">{% csrf_token %}{{ form }}<button>Sign in</button></form>'

settings.configure(
    SECRET_KEY="a secret of the story",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="story",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": asked["database"], "OPTIONS": {"timeout": 60}}},
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages", "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "loaders": [
                ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN}),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    }],
    LOGIN_URL="/accounts/login/",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": asked["issuer"],
        "OIDC_RSA_PRIVATE_KEY": jwk.JWK.generate(kty="RSA", size=2048).export_to_pem(private_key=True, password=None).decode(),
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OAUTH2_VALIDATOR_CLASS": "story.Claims",
        "SCOPES": {"openid": "Who you are", "profile": "Your name", "orders.read": "Your orders"},
        "ACCESS_TOKEN_EXPIRE_SECONDS": asked["token_seconds"],
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 30,
    },
)

if __name__ == "__main__":
    # Django looks for this module by its name.
    sys.modules["story"] = sys.modules["__main__"]
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application, RefreshToken  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Claims(OAuth2Validator):
    oidc_claim_scope = None

    def get_additional_claims(self):
        return {"name": lambda request: request.user.get_full_name()}


def end_grants(_request):
    for token in RefreshToken.objects.filter(revoked=None):
        token.revoke()
    return HttpResponse()


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("accounts/login/", LoginView.as_view()),
    path("story/end-grants", end_grants),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("alice", password="alice-pw", first_name="Alice", last_name="of Django")
    Application.objects.create(
        name="shop", client_id="shop", client_secret=asked["client_secret"], client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE, algorithm=Application.RS256_ALGORITHM,
        redirect_uris=asked["redirect_uri"], post_logout_redirect_uris=asked["post_logout_uri"],
    )
    call_command("runserver", asked["bind"], use_reloader=False)
