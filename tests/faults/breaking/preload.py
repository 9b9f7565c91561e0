"""C libraries that are loaded into a part before its own, each with a number that says what it does
and can be changed while the part runs.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stack.errors import PlatformMissing, StackError

_NUMBER = struct.Struct("=q")


class Preload:
    """One such library, compiled here, and its numbers: seconds, kept as nanoseconds in files.

    Programs with an own loader and libraries (Redis and nginx of the private root) take it too.

    Args:
        source: the C file.
        variable: the environment variable by which it finds its number.
        directory: for library and numbers; a part's account must be able to read it.
    """

    def __init__(self, source: Path, variable: str, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory.resolve()
        self._variable = variable
        self._library = self._directory / f"{source.stem}.so"
        compiler = shutil.which("gcc")
        if compiler is None:
            raise PlatformMissing(f"gcc is not installed, which compiles {source.name}; make test")
        made = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(source)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if made.returncode:
            raise StackError(f"{source.name} could not be compiled: {made.stderr.strip()}")

    def environment(self, part: str) -> dict[str, str]:
        """Return what a part is started with to have it, with the number 0."""
        self.write(part, 0)
        return {"LD_PRELOAD": str(self._library), self._variable: str(self._file(part))}

    def read(self, part: str) -> float:
        """Return a part's number."""
        nanoseconds: int = _NUMBER.unpack(self._file(part).read_bytes())[0]
        return nanoseconds / 1e9

    def write(self, part: str, seconds: float) -> None:
        """Change a part's number; it sees that at once, in all of its processes."""
        # In place: the part has this very file mapped.
        file = self._file(part)
        file.touch()
        with file.open("r+b", buffering=0) as number:
            number.write(_NUMBER.pack(round(seconds * 1e9)))

    def _file(self, part: str) -> Path:
        return self._directory / f"{part}.{self._library.stem}"


def together(*environments: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a part that has several libraries."""
    libraries = " ".join(environment["LD_PRELOAD"] for environment in environments)
    joined = {name: value for each in environments for name, value in each.items()}
    return {**joined, "LD_PRELOAD": libraries}
