"""A wall clock for each part that can be stepped while the part runs.

What a step does to the whole system, writing and watched, as tried; nothing was lost, came twice or
out of order, no stream ended and none was reset:

Redis +5 s, +40 s, +3,700 s: all leases (3 s) run out at once, as they are Redis' by design;
    formatter and relay take them anew, and frames are up to 0.9 s late.
Redis -5 s, -40 s, -3,700 s: nothing; leases are renewed within a second, and the log's ids stay at
    the highest time until that is reached again. Put right again, it is a step forward.
Gateway -30 s, +3,600 s, -3,600 s: nothing.
Formatter, relay, site +3,600 s, -3,600 s: nothing but wrong times in what they write down.

Legitimate too, by the same rules, where it happens: Redis put forward by an hour forgets the
histories (a stream that resumes then is reset, reason `history`) and the ids of frames published
before; put back, it keeps the lease of who dies within that second for so much longer. A relay
put forward by the outbox's retention purges what Redis may still lose. Tokens expire by the clocks
of the site that signs and the gateway that checks.

libfaketime (0.9.10) does not serve: Redis does not start with it, for its allocator asks for the
time before libfaketime is ready, and Python's `time.sleep` fails with EINVAL when the monotonic
clock is to stay as it is.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from stack.errors import PlatformMissing, StackError

_SOURCE = Path(__file__).with_name("clock.c")
_OFFSET = struct.Struct("=q")


class Clocks:
    """Compiles the clock once, and keeps each part's offset in a file.

    Args:
        directory: for library and files; what a part's account must be able to read.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory.resolve()
        self._library = self._directory / "clock.so"
        compiler = shutil.which("gcc")
        if compiler is None:
            raise PlatformMissing("gcc is not installed, which compiles clock.c; run make test")
        made = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(_SOURCE)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if made.returncode:
            raise StackError(f"clock.c could not be compiled: {made.stderr.strip()}")

    def environment(self, part: str) -> dict[str, str]:
        """Return what a part is started with to have a clock of its own, which is right at first.

        Programs with an own loader and libraries (Redis and nginx of the private root) take it too.
        """
        self.reset(part)
        return {"LD_PRELOAD": str(self._library), "FAULTS_CLOCK": str(self._file(part))}

    def step(self, part: str, seconds: float) -> None:
        """Put a part's clock forward, or back; all of its processes see it at once."""
        self._write(part, self.offset_seconds(part) + seconds)

    def reset(self, part: str) -> None:
        """Put a part's clock right, in one step."""
        self._write(part, 0)

    def offset_seconds(self, part: str) -> float:
        """Return how far a part's clock is ahead of the machine's."""
        nanoseconds: int = _OFFSET.unpack(self._file(part).read_bytes())[0]
        return nanoseconds / 1e9

    def _write(self, part: str, seconds: float) -> None:
        # In place: the parts have this very file mapped.
        file = self._file(part)
        file.touch()
        with file.open("r+b", buffering=0) as offset:
            offset.write(_OFFSET.pack(round(seconds * 1e9)))

    def _file(self, part: str) -> Path:
        return self._directory / f"{part}.offset"
