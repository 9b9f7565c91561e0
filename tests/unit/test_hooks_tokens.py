"""Tokens: what is in them, who signs, who verifies, and what is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.template import Context, Template
from django.test import RequestFactory
from pytest_django import Settings

from django_hooks import token_keys, tokens
from django_hooks.token_settings import TokenKey, TokenSettings, token_settings
from django_hooks.tokens import TokenError, mint, verify
from pushgate import InvalidChannel, InvalidSetting

SECRET = "a secret that nobody but this test knows"
ED25519 = token_keys.new_key("ed", "EdDSA")
HS256 = TokenKey("hs", "HS256", SECRET)
USER = User(pk=7, username="ada")


def as_setting(*keys: TokenKey) -> list[dict[str, str]]:
    return [{"kid": key.kid, "alg": key.alg, "key": key.key} for key in keys]


@pytest.fixture(autouse=True)
def use(settings: Settings):
    """Sets what PUSHGATE says of tokens; at first one key of each kind."""

    def use(*keys: TokenKey, **more: Any) -> None:
        settings.PUSHGATE = {"TOKEN_KEYS": as_setting(*keys), **more}

    use(ED25519, HS256, CHANNELS_FOR_USER=f"{__name__}.grant")
    return use


def grant(user: Any) -> list[str]:
    return [f"user:{user.pk}", "thread:*", f"user:{user.pk}"]


@pytest.mark.django_db
@pytest.mark.parametrize("key", [ED25519, HS256], ids=["EdDSA", "HS256"])
def test_a_token_says_who_what_and_for_how_long(use: Any, key: TokenKey):
    use(key, CHANNELS_FOR_USER=f"{__name__}.grant", TOKEN_SECONDS=60)
    user = User.objects.create_user("ada")
    token = mint(user)
    assert jwt.get_unverified_header(token) == {"alg": key.alg, "kid": key.kid, "typ": "JWT"}
    body = jwt.decode(token, options={"verify_signature": False})
    assert body.keys() == {"sub", "channels", "aud", "iat", "nbf", "exp"}
    assert (body["sub"], body["aud"]) == (str(user.pk), "pushgate")
    assert body["channels"] == [f"user:{user.pk}", "thread:*"]
    assert body["exp"] - body["nbf"] == 60
    claims = verify(token)
    assert claims.sub == str(user.pk)
    assert claims.opens("thread:9")
    assert claims.opens(f"user:{user.pk}")
    assert not claims.opens("user:70")


def test_channels_may_be_said_where_the_token_is_made():
    assert verify(mint(USER, ["forum:1"])).channels == ("forum:1",)
    with pytest.raises(InvalidChannel):
        mint(USER, ["Forum 1"])
    with pytest.raises(InvalidChannel):
        mint(USER, ["*"])


def test_nobody_gets_no_token():
    assert mint(AnonymousUser()) == ""


def test_the_first_key_signs_and_all_verify(use: Any):
    old = mint(USER, ["a"])
    new_key = token_keys.new_key("new", "EdDSA")
    use(new_key, ED25519)
    assert jwt.get_unverified_header(mint(USER, ["a"]))["kid"] == "new"
    assert verify(old).sub == "7"
    use(new_key)
    with pytest.raises(TokenError, match="no key is called 'ed'"):
        verify(old)


def test_the_public_half_verifies_and_cannot_sign(use: Any):
    token = mint(USER, ["a"])
    half = TokenKey("ed", "EdDSA", public_pem())
    use(HS256, half)
    assert verify(token).sub == "7"
    use(half)
    with pytest.raises(InvalidSetting, match="cannot sign"):
        mint(USER, ["a"])


def public_pem() -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = token_keys.public(ED25519)
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def claims(**changes: Any) -> dict[str, Any]:
    whole = jwt.decode(mint(USER, ["a"]), options={"verify_signature": False})
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"nbf": 2**40},
        {"iat": 2**40},
        {"aud": "somebody else"},
        {"sub": 7},
        {"channels": "a"},
        {"channels": [1]},
        *({name: None} for name in ("sub", "aud", "iat", "nbf", "exp", "channels")),
    ],
    ids=str,
)
def test_claims_that_are_wrong_are_refused(changes: dict[str, Any]):
    token = jwt.encode(claims(**changes), SECRET, "HS256", {"kid": "hs"})
    with pytest.raises(TokenError, match="not valid"):
        verify(token)


def test_signatures_that_are_wrong_are_refused():
    forged = [
        jwt.encode(claims(), "x" * 40, "HS256", {"kid": "hs"}),
        jwt.encode(claims(), "", "none", {"kid": "hs"}),
        jwt.encode(claims(), SECRET, "HS256", {"kid": "ed"}),
        jwt.encode(claims(), SECRET, "HS256"),
        mint(USER, ["a"])[:-8],
        "nonsense",
        "",
    ]
    for token in forged:
        with pytest.raises(TokenError):
            verify(token)


def test_a_token_too_long_for_a_cookie_is_refused_with_the_way_out():
    with pytest.raises(TokenError, match="grant prefix:"):
        mint(USER, [f"thread:{number}" for number in range(500)])


@pytest.mark.django_db
def test_without_a_function_a_user_sees_what_is_the_users(use: Any):
    use(HS256)
    assert tokens.channels_of(User.objects.create_user("ada", pk=7)) == ["user:7"]


@pytest.mark.django_db
def test_who_may_see_the_panel_may_see_its_channel(use: Any):
    use(HS256)
    user = User.objects.create_user("ada", pk=7)
    user.user_permissions.add(Permission.objects.get(codename="view_controlpanel"))
    assert tokens.channels_of(user) == ["user:7", "pushgate:panel"]


def test_a_template_gets_a_token():
    request = RequestFactory().get("/")
    request.user = USER
    render = Template('{% load push %}{% push_token "thread:1" "forum:2" %}').render
    assert verify(render(Context({"request": request}))).channels == ("thread:1", "forum:2")
    request.user = AnonymousUser()
    assert render(Context({"request": request})) == ""


class TestSettings:
    @pytest.mark.parametrize(
        ("value", "sentence"),
        [
            ("abc", "use a list"),
            ([{"kid": "a"}], "kid, alg and key"),
            ([{"kid": "", "alg": "HS256", "key": SECRET}], "use text"),
            ([{"kid": "a", "alg": "RS256", "key": SECRET}], "'RS256' is not known"),
            ([{"kid": "a", "alg": "HS256", "key": "short"}], "5 bytes can be guessed"),
            (as_setting(HS256, HS256), "stands twice"),
        ],
    )
    def test_what_is_no_key_is_refused(self, value: Any, sentence: str):
        with pytest.raises(InvalidSetting, match=sentence):
            TokenSettings.from_mapping({"TOKEN_KEYS": value})

    @pytest.mark.parametrize("seconds", [0, 29, 86_401])
    def test_a_token_lives_half_a_minute_to_a_day(self, seconds: int):
        with pytest.raises(InvalidSetting, match="TOKEN_SECONDS"):
            TokenSettings.from_mapping({"TOKEN_SECONDS": seconds})

    def test_no_key_is_ever_printed(self):
        assert SECRET not in repr(token_settings())
        assert SECRET not in str(token_settings())


def complaints() -> list[str]:
    return [str(found.id) for found in run_checks() if str(found.id).startswith("django_hooks.")]


class TestChecks:
    def test_a_right_setting_is_silent(self):
        assert complaints() == []

    def test_djangos_secret_key_is_refused(self, settings: Settings, use: Any):
        settings.SECRET_KEY = SECRET
        assert "django_hooks.E202" in complaints()
        settings.SECRET_KEY = "another"
        settings.SECRET_KEY_FALLBACKS = [SECRET]
        assert "django_hooks.E202" in complaints()

    def test_a_malformed_setting_is_told(self, use: Any):
        use(TokenKey("a", "EdDSA", "-----BEGIN PRIVATE KEY-----"))
        assert "django_hooks.E201" in complaints()
        use(TOKEN_SECONDS=1)
        assert "django_hooks.E201" in complaints()

    def test_a_first_key_that_cannot_sign_is_told(self, use: Any):
        use(TokenKey("ed", "EdDSA", public_pem()))
        assert "django_hooks.E201" in complaints()

    def test_a_function_that_is_not_there_is_told(self, use: Any):
        use(HS256, CHANNELS_FOR_USER="nowhere.at_all")
        assert "django_hooks.E204" in complaints()

    def test_a_middleware_in_the_wrong_place_is_told(self, settings: Settings):
        settings.MIDDLEWARE = ["django_hooks.middleware.PushTokenMiddleware", *settings.MIDDLEWARE]
        assert "django_hooks.E205" in complaints()

    def test_a_cookie_over_http_is_warned_of(self, use: Any):
        use(HS256, TOKEN_COOKIE_SECURE=False)
        assert complaints() == ["django_hooks.W201"]


def output(*words: str) -> Any:
    written = io.StringIO()
    call_command("push_keys", *words, stdout=written)
    return json.loads(written.getvalue())


class TestKeysCommand:
    def test_public_keys_are_a_key_set(self, use: Any):
        use(ED25519)
        (key,) = output()["keys"]
        assert key.keys() == {"kty", "crv", "x", "kid", "alg", "use"}
        assert (key["kty"], key["crv"], key["kid"]) == ("OKP", "Ed25519", "ed")
        found = jwt.PyJWK(key)
        assert jwt.decode(mint(USER, ["a"]), found, ["EdDSA"], audience="pushgate")["sub"] == "7"

    def test_secrets_are_printed_only_when_asked_for(self):
        with pytest.raises(CommandError, match="Keys hs are HS256"):
            output()
        _, secret = output("--secrets")["keys"]
        assert (secret["kty"], secret["alg"]) == ("oct", "HS256")

    @pytest.mark.parametrize("alg", ["EdDSA", "HS256"])
    def test_a_new_key_can_be_put_into_the_settings(self, settings: Settings, alg: str):
        settings.PUSHGATE = {"TOKEN_KEYS": [output("--new", alg)]}
        assert verify(mint(USER, ["a"])).sub == "7"
        assert complaints() == []
