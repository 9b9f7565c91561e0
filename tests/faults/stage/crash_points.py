"""Places in the parts at which a process can be made to die: between two steps where a weaker
design would lose or repeat an event.

A crash point is armed by a file of its name; the process that passes there next removes the file
and kills itself with SIGKILL. Inside Redis' scripts nothing can kill the process, so there a script
spins while the harness kills Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.faults.stage.build import Edit

_MODULE = """\
import os
import signal


def crash_point(name):
    try:
        os.unlink(os.path.join({folder!r}, name))
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
"""

_LUA_MODULE = """\
local ffi = require("ffi")
pcall(ffi.cdef, "int kill(int pid, int signal);")
local folder = "{folder}/"

return function(name)
    if os.remove(folder .. name) then
        ffi.C.kill(ngx.worker.pid(), 9)
    end
end
"""

SPIN_KEY = "faults:spin:"
"""With the point's name behind it: while the key is there, the script spins for some seconds."""

# Redis shows a script one time from its beginning to its end, so it counts: 2 to 4 seconds.
_SPIN = """\
if redis.call("EXISTS", "faults:spin:{name}") == 1 then
    for _ = 1, 2e8 do
    end
end
"""

_PYTHON = '__import__("pushgate.crash_point", fromlist=["x"]).crash_point("{name}")\n'
_LUA = 'require("pushgate.crash_point")("{name}")\n'


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """A place to die at.

    Attributes:
        name: `<part>.<where>`.
        part: whose process dies, as `stack.parts` names it; `redis` for those within scripts.
        path, anchor: the file, and a line of it, whole and with its indent, that is there once.
        after: whether the process dies behind that line, not in front of it.
    """

    name: str
    part: str
    path: str
    anchor: str
    after: bool = False

    @property
    def spins(self) -> bool:
        """Whether it is inside a script."""
        return self.part == "redis"

    def edit(self) -> Edit:
        """Return the edit that puts it there."""
        indent = self.anchor[: len(self.anchor) - len(self.anchor.lstrip())]
        if self.spins:
            text = _SPIN.format(name=self.name)
        elif self.path.endswith(".lua"):
            text = _LUA.format(name=self.name)
        else:
            text = _PYTHON.format(name=self.name)
        text = "".join(f"{indent}{line}\n" for line in text.splitlines())
        line = self.anchor + "\n"
        return Edit(self.path, line, line + text if self.after else text + line)


CRASH_POINTS = (
    CrashPoint(
        "site.before_commit",
        "site",
        "django_hooks/outbox_writer.py",
        "            cursor.execute(_insert_one(connection), values)",
        after=True,
    ),
    CrashPoint(
        "site.after_commit",
        "site",
        "django_hooks/wake.py",
        "    pid = os.getpid()",
    ),
    # After the commit, before the append.
    CrashPoint(
        "relay.before_append",
        "relay",
        "django_hooks/outbox_stream.py",
        "            moved = queue.forward(lease, self._source, mark, batch)",
    ),
    # After append and mark, before the relay knows of it.
    CrashPoint(
        "relay.after_append",
        "relay",
        "django_hooks/outbox_stream.py",
        "            moved = queue.forward(lease, self._source, mark, batch)",
        after=True,
    ),
    # After the append, before the mark.
    CrashPoint(
        "redis.forward",
        "redis",
        "pushgate/scripts/forward.lua",
        "if appended > 0 then",
    ),
    CrashPoint(
        "formatter.after_claim",
        "formatter",
        "formatter/partition.py",
        "            jobs = self._queue.claim(self.lease, self.position, room)",
        after=True,
    ),
    CrashPoint(
        "formatter.after_format",
        "formatter",
        "formatter/partition.py",
        "        return Together((self._finished(job, event, frames, attempts),))",
    ),
    CrashPoint(
        "formatter.before_finish",
        "formatter",
        "formatter/partition.py",
        "                    self._ask(partial(self._queue.finish, self.lease, ended))",
    ),
    CrashPoint(
        "formatter.after_finish",
        "formatter",
        "formatter/partition.py",
        "                    self._ask(partial(self._queue.finish, self.lease, ended))",
        after=True,
    ),
    # After the frames are in the log and the jobs gone, before the books have it.
    CrashPoint(
        "redis.finish",
        "redis",
        "pushgate/scripts/finish.lua",
        "for outcome, count in pairs(outcomes) do",
    ),
    # Between the tail's read and its hand-over.
    CrashPoint(
        "gateway.before_hand_over",
        "gateway",
        "lua/pushgate/tail.lua",
        "            taken, err, for_good = link:hand_over(entries, from)",
    ),
    # After the engine has it, before the position says so.
    CrashPoint(
        "gateway.after_hand_over",
        "gateway",
        "lua/pushgate/tail.lua",
        "            taken, err, for_good = link:hand_over(entries, from)",
        after=True,
    ),
    # The engine's worker has been handed a frame, and has not taken it.
    CrashPoint(
        "gateway.before_taking",
        "gateway",
        "lua/pushgate/engine/push_stream.lua",
        "    generation.check()",
        after=True,
    ),
    # A subscriber has its history and is not registered yet.
    CrashPoint(
        "gateway.history_read",
        "gateway",
        "lua/pushgate/subscribe.lua",
        '    counters.add("replayed", subscriber.replayed)',
    ),
)


def edits() -> list[Edit]:
    """Return what puts all crash points into a copy of the source."""
    return [point.edit() for point in CRASH_POINTS]


def modules(folder: Path) -> list[tuple[str, str]]:
    """Return the files, path and text, that crash points need in the copy.

    Args:
        folder: where they are armed.
    """
    return [
        ("pushgate/crash_point.py", _MODULE.format(folder=str(folder))),
        ("lua/pushgate/crash_point.lua", _LUA_MODULE.format(folder=folder)),
    ]
