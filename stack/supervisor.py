"""supervisord, which keeps the parts running: its configuration, its start, and questions to it."""

import os
import shlex
import signal
import sys
import xmlrpc.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from stack.errors import StackError
from stack.health import UnixConnection
from stack.parts import Part
from stack.platform import REPOSITORY
from stack.process import Process, wait_until

# supervisord runs in the state folder and all paths are relative to it, so that no folder's name
# can be taken for one of its own substitutions.
_CONFIGURATION = """\
[supervisord]
nodaemon=true
silent=true
{user}logfile=logs/supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
childlogdir=logs
pidfile=supervisord.pid

[unix_http_server]
file=supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

# With startsecs 0 no end counts as a failed start: supervisord never waits longer from one try
# to the next (it would, by a second each time) and never gives up.
_PART = """
[program:{name}]
command=/bin/sh parts/{name}.sh
priority={priority}
autostart=false
autorestart=true
startsecs=0
startretries=1000000
stopsignal=TERM
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""

_SCRIPT = """\
#!/bin/sh
# Starts the part "{name}"; written at each `make run`.
{exports}
# Renamed into place, so that no reader finds it empty.
echo $$ > {pid_file}.new && mv {pid_file}.new {pid_file}
cd {repository}
exec {command}
"""


_SUPERVISORD = REPOSITORY / "stack" / "quick_supervisord.py"

# A supervisord that is killed takes its parts along.
_DIE_WITH_SUPERVISORD = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(frozen=True)
class PartState:
    """What supervisord knows of a part.

    Attributes:
        state: supervisord's word: RUNNING, STOPPED, EXITED ...
        pid: 0 when it does not run.
        started_at: Unix time of its latest start, whole seconds.
    """

    name: str
    state: str
    pid: int
    started_at: int


class Supervisor:
    """supervisord of one state folder.

    Args:
        state_dir: absolute.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._configuration = state_dir / "supervisord.conf"
        self._process = Process(
            "supervisord",
            # -P: its own folder has modules with the names of Python's.
            (sys.executable, "-P", str(_SUPERVISORD), "-c", str(self._configuration)),
            log=state_dir / "logs" / "supervisord.out",
            directory=state_dir,
            # Asked with SIGTERM it stops the parts in good order, also when we were killed.
            death_signal=signal.SIGTERM,
        )
        self._ask = xmlrpc.client.ServerProxy(
            "http://localhost/RPC2", transport=_UnixTransport(state_dir / "supervisor.sock")
        )

    @property
    def running(self) -> bool:
        """Whether the supervisord that we started runs."""
        return self._process.running

    def wait_for_predecessor(self, deadline_seconds: float = 60) -> bool:
        """Wait until an earlier supervisord of this state folder has stopped its parts.

        Returns:
            Whether there was one.
        """
        if not self._predecessor_runs():
            return False
        wait_until(
            lambda: not self._predecessor_runs(),
            deadline_seconds,
            "the earlier run's parts have stopped",
        )
        return True

    def start(self, parts: Sequence[Part], environment: Mapping[str, str]) -> None:
        """Start supervisord, with every part known and none started.

        Args:
            environment: what every part is told beyond our own environment.
        """
        self.configure(parts, environment)
        self._process.start()
        self._process.wait_until_ready(self.answers, 15)

    def stop(self, deadline_seconds: float) -> None:
        """Stop all parts, the last started first, and supervisord itself."""
        self._process.stop(deadline_seconds)

    def answers(self) -> bool:
        """Return whether supervisord answers on its socket."""
        try:
            return bool(self._ask.supervisor.getState())
        except (OSError, HTTPException, xmlrpc.client.Error):
            return False

    def start_part(self, name: str) -> None:
        """Start one part; from now on it is started again whenever it ends."""
        self._ask.supervisor.startProcess(name, False)

    def kill_part(self, name: str) -> None:
        """End one part as a crash would; it is started again. Nothing when it does not run."""
        with suppress(OSError, HTTPException, xmlrpc.client.Error):
            self._ask.supervisor.signalProcess(name, "KILL")

    def state_of(self, name: str) -> PartState:
        """Return what is known of a part.

        Raises:
            StackError: supervisord does not answer.
        """
        try:
            facts = self._ask.supervisor.getProcessInfo(name)
        except (OSError, HTTPException, xmlrpc.client.Error) as error:
            raise StackError(f"supervisord does not answer: {error}") from None
        if not isinstance(facts, dict):
            raise StackError(f"supervisord does not know {name}")
        return PartState(name, str(facts["statename"]), int(facts["pid"]), int(facts["start"]))

    def _predecessor_runs(self) -> bool:
        try:
            pid = int((self._state_dir / "supervisord.pid").read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return False
        return os.fsencode(self._configuration) in command.split(b"\0")

    def configure(self, parts: Sequence[Part], environment: Mapping[str, str]) -> None:
        """Write the configuration and one start script a part."""
        scripts = self._state_dir / "parts"
        scripts.mkdir(parents=True, exist_ok=True)
        (self._state_dir / "logs").mkdir(exist_ok=True)
        # Said aloud, or supervisord warns of it at each start.
        text = _CONFIGURATION.format(user="user=root\n" if os.geteuid() == 0 else "")
        for priority, part in enumerate(parts, start=1):
            script = scripts / f"{part.name}.sh"
            # The database's address may hold a password.
            script.touch(mode=0o600)
            script.write_text(_script(part, environment, self._state_dir), encoding="utf-8")
            text += _PART.format(
                name=part.name,
                priority=priority,
                stop_seconds=part.stop_seconds,
            )
        self._configuration.write_text(text, encoding="utf-8")


def _script(part: Part, environment: Mapping[str, str], state_dir: Path) -> str:
    values = {**environment, **part.environment}
    return _SCRIPT.format(
        name=part.name,
        exports="\n".join(f"export {name}={shlex.quote(values[name])}" for name in values),
        pid_file=shlex.quote(str(state_dir / f"{part.name}.pid")),
        repository=shlex.quote(str(REPOSITORY)),
        command=shlex.join((*_DIE_WITH_SUPERVISORD, *part.command)),
    )


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> HTTPConnection:
        """Return a new connection, whatever the host."""
        return UnixConnection(self._path)
