"""The name server that a container engine gives its containers: a service's name is its address."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Collection
from types import TracebackType

ADDRESS = "127.0.0.11"
"""Where Docker has its own."""

_SERVICES_ADDRESS = "127.0.0.1"
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583
_TYPE_A = 1


class NameServer:
    """Answers for the services' names, all of them on this machine, until it is closed."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._serve, name="name server", daemon=True)

    def __enter__(self) -> NameServer:
        self._socket.bind((ADDRESS, 53))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An empty datagram is the word to end.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as farewell:
            farewell.sendto(b"", (ADDRESS, 53))
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self.answer(query), client)

    def answer(self, query: bytes) -> bytes:
        """Return the answer to a query of one question (RFC 1035, 4.1)."""
        labels, place = [], 12
        while length := query[place]:
            labels.append(query[place + 1 : place + 1 + length].decode("ascii").lower())
            place += 1 + length
        (kind,) = struct.unpack_from("!H", query, place + 1)
        question = query[12 : place + 5]
        known = ".".join(labels) in self._names
        records = b""
        if known and kind == _TYPE_A:
            # The name is a pointer to the question's; class IN, 1 s to live, 4 bytes.
            records = struct.pack("!HHHIH", 0xC00C, _TYPE_A, 1, 1, 4)
            records += socket.inet_aton(_SERVICES_ADDRESS)
        flags = _ANSWER if known else _NO_SUCH_NAME
        header = query[:2] + struct.pack("!HHHHH", flags, 1, bool(records), 0, 0)
        return header + question + records
