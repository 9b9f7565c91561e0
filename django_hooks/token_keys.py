"""The keys that sign tokens, as cryptography wants them. Needs `pushgate[tokens]`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import HMACAlgorithm, OKPAlgorithm

from django_hooks.token_settings import TokenKey
from pushgate import InvalidSetting


def signing_key(keys: Sequence[TokenKey]) -> TokenKey:
    """Return the key that signs: the first.

    Raises:
        InvalidSetting: there is none.
    """
    if not keys:
        raise InvalidSetting(
            'PUSHGATE["TOKEN_KEYS"] is empty: no token can be signed; manage.py push_keys --new '
            "EdDSA draws a key"
        )
    return keys[0]


@cache
def private(key: TokenKey) -> Any:
    """Return what signs.

    Raises:
        InvalidSetting: the key cannot sign.
    """
    if key.alg == "HS256":
        return key.key
    found = _loaded(key)
    if not isinstance(found, Ed25519PrivateKey):
        raise InvalidSetting(
            f'PUSHGATE["TOKEN_KEYS"], key {key.kid!r}: it is the public half and cannot sign; only '
            "a key behind the first may be"
        )
    return found


@cache
def public(key: TokenKey) -> Any:
    """Return what verifies.

    Raises:
        InvalidSetting: it is no key.
    """
    if key.alg == "HS256":
        return key.key
    found = _loaded(key)
    return found.public_key() if isinstance(found, Ed25519PrivateKey) else found


def as_jwk(key: TokenKey) -> dict[str, str]:
    """Return what the gateway needs to verify, as a JSON Web Key. Of HS256 that is the secret."""
    if key.alg == "HS256":
        jwk: dict[str, str] = json.loads(HMACAlgorithm.to_jwk(key.key.encode()))
        jwk.pop("key_ops", None)
    else:
        jwk = json.loads(OKPAlgorithm.to_jwk(public(key)))
    return {**jwk, "kid": key.kid, "alg": key.alg, "use": "sig"}


def new_key(kid: str, alg: str) -> TokenKey:
    """Draw a key."""
    if alg == "HS256":
        return TokenKey(kid, alg, secrets.token_urlsafe(48))
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return TokenKey(kid, alg, pem.decode())


def _loaded(key: TokenKey) -> Ed25519PrivateKey | Ed25519PublicKey:
    pem = key.key.encode()
    try:
        is_private = b"PRIVATE" in pem
        found = load_pem_private_key(pem, None) if is_private else load_pem_public_key(pem)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PrivateKey | Ed25519PublicKey):
        raise InvalidSetting(
            f'PUSHGATE["TOKEN_KEYS"], key {key.kid!r}: it is not an Ed25519 key as PEM; manage.py '
            "push_keys --new EdDSA draws one"
        )
    return found
