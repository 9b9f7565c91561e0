"""The process that has all links of a run.

    python -m tests.faults.breaking.link_process SOCKET SEED

It is told what to do in lines of JSON on SOCKET, which it makes, and ends when who told it closes
the connection, however that happens, or when nobody comes.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stack.errors import StackError
from tests.faults.breaking.condition import Condition, LinkMisuse
from tests.faults.breaking.link import Address, Link

_FIRST_WORD_SECONDS = 15


class LinkProcess:
    """Answers each request line with one line, `{}` or what was asked for, or `{"error": ...}`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._links: dict[str, Link] = {}
        self._is_led = asyncio.Event()
        self._is_over = asyncio.Event()

    async def serve(self, path: Path) -> None:
        """Do as told until the connection ends."""
        server = await asyncio.start_unix_server(self._obey, path)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_led.wait(), _FIRST_WORD_SECONDS)
            server.close()
            await self._is_over.wait()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._is_led.set()
        try:
            while line := await reader.readline():
                try:
                    answer = await self._do(json.loads(line))
                except (StackError, OSError) as error:
                    answer = {"error": str(error)}
                # Closed sockets are closed only in the loop's next turn.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            self._is_over.set()

    async def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        if request["do"] == "add":
            if name in self._links:
                raise LinkMisuse(
                    f'link "{name}" is there already; give the other a name of its own'
                )
            link = Link(name, _address(request["listen"]), _address(request["to"]), self._seed)
            await link.open()
            self._links[name] = link
            return {}
        if name not in self._links:
            known = ", ".join(self._links) or "none"
            raise LinkMisuse(f'link "{name}" is not known, only {known}; add it first')
        if request["do"] == "set":
            await self._links[name].set(Condition.of(request["mode"], request["options"]))
            return {}
        return asdict(self._links[name].counts)


def _address(given: int | str) -> Address:
    return given if isinstance(given, int) else Path(given)


def main() -> None:
    """Serve until the one who started us is gone."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def serve() -> None:
        await LinkProcess(int(sys.argv[2])).serve(Path(sys.argv[1]))

    asyncio.run(serve())


if __name__ == "__main__":
    main()
