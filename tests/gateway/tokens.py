"""Tokens as the Django side makes them, and gateways that know its keys."""

import json
import re
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from django_hooks import token_keys
from django_hooks.token_settings import TokenKey
from stack.gateway import Gateway

AUDIENCE = "pushgate"
DEADLINE_SECONDS = 20.0


@dataclass
class Signer:
    """Signs tokens, and writes the key set that a gateway reads.

    Attributes:
        path: where the key set is.
        keys: the first signs.
    """

    path: Path
    keys: list[TokenKey] = field(default_factory=lambda: [token_keys.new_key("first", "EdDSA")])

    def write(self) -> None:
        """Writes the key set as `manage.py push_keys --secrets` does, in one step."""
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps({"keys": [token_keys.as_jwk(key) for key in self.keys]}))
        beside.replace(self.path)

    def token(self, sub: str = "7", channels: Iterable[str] = (), **changes: Any) -> str:
        """A token that is valid for a minute; a claim that is changed to None is left out."""
        now = time.time()
        claims = {
            "sub": sub,
            "channels": list(channels),
            "aud": AUDIENCE,
            "iat": round(now, 3),
            "nbf": int(now),
            "exp": int(now) + 60,
            **changes,
        }
        return self.signed({name: value for name, value in claims.items() if value is not None})

    def signed(self, claims: dict[str, Any]) -> str:
        """A token of just these claims."""
        key = self.keys[0]
        return jwt.encode(claims, token_keys.private(key), key.alg, {"kid": key.kid})


def begin(
    gateway: Gateway, target: str, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Asks for a stream and goes away when it has begun. Returns the status and what came."""
    host, _, port = gateway.settings.listen.rpartition(":")
    lines = [f"GET {target} HTTP/1.1", "Host: gateway"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        received = b""
        while not _is_whole(received):
            data = connection.recv(65536)
            if not data:
                break
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body.decode("latin-1")


def _is_whole(received: bytes) -> bool:
    """Whether an answer that is no stream, or the first block of one, has been received."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    return bool(end) and (len(body) >= int(length[1]) if length else b"\n\n" in body)
