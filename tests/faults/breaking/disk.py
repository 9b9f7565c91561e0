"""A small disk of its own for the data of Redis or PostgreSQL, which can be filled and freed.

What a full disk does, as `test_disk.py` has it (Redis 8.0, PostgreSQL 15):

Redis (`appendfsync everysec`) confirms the writes with which it finds the disk full, those of one
turn of its event loop, though they are not whole in its file; it refuses all further ones with
MISCONF, answers reads, and takes writes again by itself within a second of there being room, when
it also writes what it owed. Killed before that, it comes back without what it owed: confirmed
writes may be lost. It starts on a full disk too. What fitted of a transaction may stay in its file
with the whole behind it, which the next start does twice or refuses: BGREWRITEAOF mends that.

PostgreSQL fails the statement that needs more room for a table, and works on; the next one after
there is room succeeds. When it is the write-ahead log that needs a further file (16 MB), it panics,
cannot recover for the same reason, and ends for good: somebody has to start it again once there is
room. No confirmed commit is lost either way, with `KEEPS_COMMITS`. A new cluster takes 37 MB.

And what a slow one does: while an fsync of Redis lasts longer than a second, Redis keeps what it
confirms in memory, for two seconds at the most, and writes it to its file then. Killed meanwhile it
loses that (seen: all confirmed writes of the last 1.7 s); with `appendfsync always` nothing.
"""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from stack.errors import StackError
from tests.faults.breaking.preload import Preload

_NAME = "pushgate-disk-"
_PIECE = bytes(64 * 1024)


class Disk:
    """A file system in memory, mounted in a folder of /tmp, and gone with it at the end.

    What a killed run left mounted is unmounted when the next one mounts something.

    Args:
        megabytes: how much fits on it.
        owner: the account that the folder belongs to; None is ours.
    """

    def __init__(self, megabytes: int, owner: str | None = None) -> None:
        self._megabytes = megabytes
        self._owner = owner
        self._mounted: Path | None = None

    def __enter__(self) -> Disk:
        unmount_leftovers()
        account = pwd.getpwnam(self._owner) if self._owner else None
        uid, gid = (account.pw_uid, account.pw_gid) if account else (os.geteuid(), os.getegid())
        folder = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-"))
        options = f"size={self._megabytes}m,mode=755,uid={uid},gid={gid}"
        try:
            _run("mount", "-t", "tmpfs", "-o", options, "pushgate", str(folder))
        except StackError:
            folder.rmdir()
            raise
        self._mounted = folder
        return self

    def __exit__(self, *exception: object) -> None:
        _unmount(self.folder)
        self._mounted = None

    @property
    def folder(self) -> Path:
        """Where it is mounted; raises StackError when it is not."""
        if self._mounted is None:
            raise StackError("the disk is not mounted; use `with Disk(...)`")
        return self._mounted

    @property
    def free_bytes(self) -> int:
        """How much still fits."""
        facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize

    def fill(self) -> None:
        """Take everything that is left, down to the last page."""
        with self._filler.open("ab", buffering=0) as filler:
            piece = _PIECE
            while piece:
                try:
                    filler.write(piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece = piece[: len(piece) // 2]

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


class SlowDisks:
    """Has the syncs of a part to its disk take long; see `Preload` for the directory."""

    def __init__(self, directory: Path) -> None:
        self._durations = Preload(
            Path(__file__).with_name("slow_syncs.c"), "FAULTS_SYNC", directory
        )

    def environment(self, part: str) -> dict[str, str]:
        """Return what a part is started with to have a slow disk later; it is quick at first."""
        return self._durations.environment(part)

    def set(self, part: str, seconds: float) -> None:
        """Have each sync last so long, those that last already too."""
        self._durations.write(part, seconds)


def unmount_leftovers() -> None:
    """Unmount the disks of processes that have ended."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        folder = Path(line.split()[1])
        if not folder.name.startswith(_NAME):
            continue
        owner = folder.name.removeprefix(_NAME).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            with suppress(StackError):
                _unmount(folder)


def _unmount(folder: Path) -> None:
    # Lazily: who still has a file there open shall not keep the name.
    _run("umount", "--lazy", str(folder))
    folder.rmdir()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise StackError(f"{' '.join(command)} failed: {done.stderr.strip()}; it needs root")
