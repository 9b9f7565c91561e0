"""Tokens are verified as the golden file says; so does the gateway (tests/lua/token_spec.lua)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt.api_jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_django import Settings

from django_hooks import token_keys
from django_hooks.token_settings import TokenKey
from django_hooks.tokens import Claims, TokenError, verify

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "golden" / "tokens.json").read_text("utf-8")
)


class GoldenTime(datetime):
    """The moment the golden file's tokens are looked at."""

    @classmethod
    def now(cls, tz: Any = None) -> GoldenTime:
        return cls.fromtimestamp(GOLDEN["now"], tz or UTC)


def key_of(jwk: dict[str, str]) -> TokenKey:
    """A key of the settings, from what the gateway is given of it."""
    text = jwk.get("k") or jwk["x"]
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if jwk["alg"] == "HS256":
        return TokenKey(jwk["kid"], "HS256", raw.decode())
    public = Ed25519PublicKey.from_public_bytes(raw)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return TokenKey(jwk["kid"], "EdDSA", pem.decode())


KEYS = [key_of(jwk) for jwk in GOLDEN["keys"]["keys"]]


@pytest.fixture(autouse=True)
def golden_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PUSHGATE = {
        "TOKEN_KEYS": [{"kid": key.kid, "alg": key.alg, "key": key.key} for key in KEYS],
        "TOKEN_AUDIENCE": GOLDEN["audience"],
    }
    monkeypatch.setattr(jwt.api_jwt, "datetime", GoldenTime)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["what"])
def test_a_token(case: dict[str, Any]) -> None:
    if case["valid"]:
        assert verify(case["token"]) == Claims(
            case["sub"], tuple(case["channels"]), case["iat"], case["exp"]
        )
    else:
        with pytest.raises(TokenError):
            verify(case["token"])


def test_the_gateway_is_given_the_keys_as_the_golden_file_has_them() -> None:
    assert [token_keys.as_jwk(key) for key in KEYS] == GOLDEN["keys"]["keys"]
