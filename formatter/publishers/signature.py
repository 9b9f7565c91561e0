"""Signatures after the Standard Webhooks specification, 1.0.0: HMAC-SHA256 over id, time and body.

The consumer verifies them with any of that project's libraries.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
LEAST_BYTES = 24
MOST_BYTES = 64
"""Of a secret; both from the specification."""


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Reads one or more secrets with blanks between: the current one first, then older ones.

    Raises:
        ValueError: what is wrong, without the secret itself.
    """
    secrets = tuple(_read_secret(word) for word in text.split())
    if not secrets:
        raise ValueError("it is empty")
    return secrets


def sign(secrets: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`: a signature for each secret."""
    signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp, body)
    digests = (hmac.digest(secret, signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _read_secret(word: str) -> bytes:
    if not word.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        encoded = word.removeprefix(PREFIX).rstrip("=")
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise ValueError(
            f"a secret is {LEAST_BYTES} to {MOST_BYTES} bytes of chance, this one {len(secret)}"
        )
    return secret
