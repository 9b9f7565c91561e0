"""Lua takes no token that Python refuses, and none that is sound is refused by either."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any

import jwt.api_jwt
import pytest
from hypothesis import example, given, seed
from hypothesis import strategies as st

from django_hooks import tokens
from django_hooks.token_settings import TokenSettings
from django_hooks.tokens import Claims, TokenError, verify
from tests.lua.test_parsers import SEED, Parsers, thorough
from tests.unit.test_hooks_tokens_golden import GOLDEN, KEYS, GoldenTime

NOW = GOLDEN["now"]
SECRET = next(key.key for key in KEYS if key.alg == "HS256").encode()

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
TIMES = st.integers(NOW - 100_000, NOW + 100_000) | st.sampled_from([NOW - 6, NOW - 4, NOW + 4])
GRANTS = st.sampled_from(["user:7", "team:*", "", "*", ":*", "a" * 200])
SOUND = {
    "sub": st.text(min_size=1, max_size=9).filter(lambda text: text.isprintable()),
    "aud": st.sampled_from(["pushgate", ["pushgate"], ["other", "pushgate"]]),
    "channels": st.lists(GRANTS, max_size=4),
    "iat": st.integers(NOW - 40_000, NOW + 4) | st.floats(NOW - 40_000, NOW + 4),
    "nbf": st.integers(0, NOW + 4),
    "exp": st.integers(NOW - 4, NOW + 40_000),
}
SOUND_CLAIMS = st.fixed_dictionaries(dict(SOUND))
ONE_CHANGE = st.one_of(
    [
        st.tuples(st.just(name), TIMES if name in ("iat", "nbf", "exp") else ANYTHING)
        for name in SOUND
    ]
) | st.tuples(st.sampled_from(list(SOUND)), ANYTHING)


def changed(claims: dict[str, Any], changes: list[tuple[str, Any]]) -> dict[str, Any]:
    """Sound claims with one or two changed."""
    return {**claims, **dict(changes)}


CHANGED_CLAIMS = st.builds(changed, SOUND_CLAIMS, st.lists(ONE_CHANGE, min_size=1, max_size=2))
WITHOUT_A_LIST = {
    **{"sub": "0", "aud": "pushgate", "channels": {}},
    **{"iat": NOW - 40_000, "nbf": 0, "exp": NOW - 4},
}
HEADERS = st.fixed_dictionaries(
    {"alg": st.just("HS256") | ANYTHING, "kid": st.just("hs") | st.just("ed") | ANYTHING},
    optional={"crit": ANYTHING, "typ": st.text(max_size=4)},
)


def encoded(value: Any) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def signed(header: Any, claims: Any) -> bytes:
    text = encoded(header) + b"." + encoded(claims)
    return text + b"." + encoded(hmac.digest(SECRET, text, "sha256"))


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    asked = Parsers()
    yield asked
    asked.close()


@pytest.fixture(scope="module", autouse=True)
def golden_keys() -> Iterator[None]:
    """The golden file's keys and its moment, in Python too."""
    chosen = TokenSettings(token_keys=tuple(KEYS), token_audience=GOLDEN["audience"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "token_settings", lambda: chosen)
        patch.setattr(jwt.api_jwt, "datetime", GoldenTime)
        yield


def read_by_python(token: bytes) -> list[Any] | bool:
    try:
        claims: Claims = verify(token.decode())
    except (TokenError, UnicodeDecodeError):
        return False
    return [claims.sub.encode().hex(), len(claims.channels), claims.issued_at, claims.expires_at]


@seed(SEED)
@thorough
@given(SOUND_CLAIMS)
def test_a_sound_token_is_read_alike(parsers: Parsers, claims: dict[str, Any]) -> None:
    token = signed({"alg": "HS256", "kid": "hs"}, claims)
    expected = [
        *(claims["sub"].encode().hex(), len(claims["channels"])),
        *(pytest.approx(claims["iat"]), claims["exp"]),
    ]
    assert read_by_python(token) == expected
    assert parsers.ask("token", token) == expected


@seed(SEED)
@thorough
@given(HEADERS, CHANGED_CLAIMS | CHANGED_CLAIMS | ANYTHING | st.binary(max_size=30))
@example(header={"alg": "HS256", "kid": "hs"}, claims=WITHOUT_A_LIST)
def test_lua_takes_nothing_that_python_refuses(parsers: Parsers, header: Any, claims: Any) -> None:
    for head in (header, {"alg": "HS256", "kid": "hs"}):
        if found := parsers.ask("token", signed(head, claims)):
            if isinstance(claims, dict) and claims["channels"] == {}:
                # To Lua an empty object is an empty list, and it grants as little.
                claims = {**claims, "channels": []}
            assert found == pytest.approx(read_by_python(signed(head, claims)))


@seed(SEED)
@thorough
@given(st.text() | st.binary(), st.integers(0, 400), st.sampled_from(GOLDEN["cases"]))
def test_whatever_is_put_into_a_token_lua_takes_nothing_that_python_refuses(
    parsers: Parsers, text: str | bytes, at: int, case: dict[str, Any]
) -> None:
    inserted = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    whole = case["token"].encode()
    token = whole[:at] + inserted + whole[at:]
    if parsers.ask("token", token):
        assert token == whole
        assert case["valid"]
