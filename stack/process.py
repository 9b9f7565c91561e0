"""One child process: started, watched and stopped with deadlines."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from stack.errors import DeadlineMissed, StackError

_PR_SET_PDEATHSIG = 1

_PORTS_OF_A_PROCESS = 100


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing uses now, and no other process is given.

    It lies below the ports the kernel gives to outgoing connections: from among those, a client
    that tries again while its server restarts may be given the server's own port, and keep it.
    """
    global _ports
    if _ports is None or _ports.owner != os.getpid():
        _ports = _claim_ports()
    for port in islice(_ports.numbers, _PORTS_OF_A_PROCESS):
        if port_is_free(port):
            return port
    raise StackError(f"all {_PORTS_OF_A_PROCESS} ports of this process are in use; stop something")


@dataclass(frozen=True)
class _Ports:
    """The ports that this process alone gives out.

    Between the moment a port is found free and the moment a server listens there, another process
    would find it free as well; so no two of ours look at the same ones.

    Attributes:
        owner: the process; a fork of it needs others.
        numbers: one after the other, again and again.
        claim: as long as it is open, they are claimed; the kernel closes it with the process.
    """

    owner: int
    numbers: Iterator[int]
    claim: socket.socket


_ports: _Ports | None = None


def _claim_ports() -> _Ports:
    facts = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    end = max(int(facts.split()[0]), 12_000)
    firsts = range(end - 10_000, end, _PORTS_OF_A_PROCESS)
    # Not by the generator that tests seed.
    for first in random.SystemRandom().sample(firsts, len(firsts)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            # A name without a file, which at most one socket of the machine has at a time.
            claim.bind(f"\0pushgate-ports-{first}")
        except OSError:
            claim.close()
            continue
        return _Ports(os.getpid(), cycle(range(first, first + _PORTS_OF_A_PROCESS)), claim)
    raise StackError(f"other processes have claimed all ports from {end - 10_000} to {end - 1}")


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(
    condition: Callable[[], object],
    deadline_seconds: float,
    what: str,
    *,
    every_seconds: float = 0.02,
) -> None:
    """Return as soon as `condition()` is true.

    Args:
        what: names what is awaited, for the error: `redis answers PING`.

    Raises:
        DeadlineMissed: it did not become true in time.
    """
    give_up_at = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() >= give_up_at:
            raise DeadlineMissed(f"waited {deadline_seconds:g} s in vain until {what}")
        time.sleep(every_seconds)


def tail(log: Path, lines: int = 10) -> str:
    """Return the last lines of a log file, or "" when there is none."""
    try:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(source.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what a child calls before its program starts, to end when its parent ends.

    It is called between fork and exec, so that no moment is left in which a parent could die
    unnoticed; all it needs is loaded here, before the fork.
    """
    prctl = ctypes.CDLL(None).prctl
    number, parent, exit_now = int(death_signal), os.getpid(), os._exit

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            exit_now(1)

    return ask_the_kernel


class Process:
    """A child process with a process group of its own and its output in a log file.

    It dies with the thread that started it, so start it from one that lives as long.

    Args:
        environment: the child's whole environment; None is a copy of ours.
        death_signal: what the kernel sends the child when we die, however that happens.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._directory = directory
        self._environment = environment
        self._death_signal = death_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the child has been started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The running child's process id.

        Raises:
            StackError: it does not run.
        """
        if self._child is None or not self.running:
            raise StackError(f"{self.name} does not run; start it first")
        return self._child.pid

    def start(self) -> None:
        """Start the child.

        Raises:
            StackError: it runs already, or its program cannot be started.
        """
        if self.running:
            raise StackError(f"{self.name} runs already, pid {self.pid}; stop it first")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            try:
                self._child = subprocess.Popen(
                    self.command,
                    cwd=self._directory,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent(self._death_signal),
                )
            except OSError as error:
                raise StackError(f"{self.name} could not be started: {error}") from None

    def wait_until_ready(self, ready: Callable[[], object], deadline_seconds: float) -> None:
        """Return when `ready()` is true.

        Raises:
            StackError: the child ended first, or the deadline passed; names the log's last lines.
        """
        try:
            wait_until(
                lambda: ready() or not self.running, deadline_seconds, f"{self.name} is ready"
            )
        except DeadlineMissed as error:
            raise DeadlineMissed(f"{error}; its log ends: {tail(self.log)}") from None
        if not self.running:
            raise StackError(f"{self.name} ended at its start; its log ends: {tail(self.log)}")

    def stop(self, deadline_seconds: float = 10) -> int | None:
        """Stop the child and all of its group; do nothing when it was never started.

        Asks with SIGTERM, then kills what is left when the child has ended or the deadline passed.

        Returns:
            The child's exit status, or None when it was never started.
        """
        if self._child is None:
            return None
        if self.running:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(deadline_seconds)
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        status = self._child.wait()
        self._child = None
        return status

    def kill(self) -> None:
        """Kill the child alone, as a crash would, and wait for its end; its group is left."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
