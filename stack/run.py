"""`make run`: start every part under supervisord, say when all are ready, stop them when told.

The steps and what they may say are here; the parts themselves are in `stack.parts`.
"""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack.errors import DeadlineMissed, StackError
from stack.output import say
from stack.parts import Part, common_environment, table
from stack.platform import REPOSITORY, Platform
from stack.process import Process, free_port, port_is_free, tail, wait_until
from stack.settings import RunSettings
from stack.stop_signals import StopSignals, ToldToStop
from stack.supervisor import Supervisor
from stack.watch import Watch

# How long one part may take from its start to its work, on a slow machine's first start.
HEALTHY_SECONDS = 60
# How often a part may end before it works; then it is broken, not unlucky.
STARTS_AT_MOST = 5

PartsTable = Callable[[RunSettings, Platform, int], Sequence[Part]]


def main(make_parts: PartsTable = table) -> int:
    """Run until told to stop.

    Args:
        make_parts: makes the table of parts; the tests run smaller ones.

    Returns:
        The exit status: 0 when told to stop, 1 when a part could not be started or kept.
    """
    signals = StopSignals()
    try:
        settings = RunSettings.from_environment(os.environ)
        with only_run_of(settings.state_dir):
            run(settings, signals, make_parts)
    except ToldToStop:
        return 0
    except StackError as error:
        say(f"make run: {error}", sys.stderr)
        return 1
    return 0


def run(settings: RunSettings, signals: StopSignals, make_parts: PartsTable) -> None:
    """Start all parts and keep them until told to stop.

    Raises:
        ToldToStop: we were told to stop; all is stopped.
        StackError: a part could not be started, or supervisord ended; all is stopped.
    """
    platform = Platform.find()
    supervisor = Supervisor(settings.state_dir)
    if supervisor.wait_for_predecessor():
        say("waited for the parts of an earlier run to stop")
    settings.check_ports()
    redis_port = remembered_port(settings.state_dir / "redis.port")
    parts = make_parts(settings, platform, redis_port)
    environment = common_environment(settings, f"redis://127.0.0.1:{redis_port}/0")
    try:
        supervisor.start(parts, environment)
        for part in parts:
            start_part(supervisor, part, settings.state_dir, environment)
        say(f"ready {settings.site_url}")
        watch = Watch(parts, supervisor.kill_part)
        while supervisor.running:
            signals.check_parent()
            watch.look()
            time.sleep(0.5)
        raise StackError(
            f"supervisord ended, and the parts with it; see {settings.state_dir}/logs; start again"
        )
    finally:
        signals.ignore()
        if supervisor.running:
            say("stopping all parts")
        supervisor.stop(sum(part.stop_seconds + 2 for part in parts))
        for part in parts:
            (settings.state_dir / f"{part.name}.pid").unlink(missing_ok=True)


def start_part(
    supervisor: Supervisor, part: Part, state_dir: Path, environment: Mapping[str, str]
) -> None:
    """Start one part and return when it does its work.

    Raises:
        StackError: it does not, or a command before it failed; ends with its log's last lines.
    """
    for command in part.before:
        run_to_end(part, command, state_dir, environment)
    # A lease that outlived a killed run goes by itself in seconds.
    wait_until(
        lambda: not part.healthy(), 15, f"no other program acts as {part.name}", every_seconds=0.1
    )
    say(f"starting {part.name}")
    supervisor.start_part(part.name)
    starts: set[int] = set()

    def is_decided() -> bool:
        starts.add(supervisor.state_of(part.name).started_at)
        return len(starts) > STARTS_AT_MOST or part.healthy()

    log = state_dir / "logs" / f"{part.name}.log"
    try:
        wait_until(is_decided, HEALTHY_SECONDS, part.healthy_means, every_seconds=0.1)
    except DeadlineMissed:
        raise StackError(
            f"{part.name} was to be ready in {HEALTHY_SECONDS} s ({part.healthy_means}) and is "
            f"not; {log} ends:\n{tail(log)}"
        ) from None
    if len(starts) > STARTS_AT_MOST:
        raise StackError(f"{part.name} ends whenever it is started; {log} ends:\n{tail(log)}")


def run_to_end(
    part: Part, command: Sequence[str], state_dir: Path, environment: Mapping[str, str]
) -> None:
    """Run a command that must end well before a part starts.

    Raises:
        StackError: it failed.
    """
    log = state_dir / "logs" / f"{part.name}-before.log"
    process = Process(
        part.name,
        command,
        log=log,
        directory=REPOSITORY,
        environment={**os.environ, **environment, **part.environment},
    )
    process.start()
    try:
        wait_until(lambda: not process.running, 300, " ".join(command[1:]) + " has ended")
    finally:
        status = process.stop()
    if status != 0:
        words = " ".join(command[2:])
        raise StackError(f"{words} failed before {part.name}; {log} ends:\n{tail(log)}")


@contextmanager
def only_run_of(state_dir: Path) -> Iterator[None]:
    """Hold the state folder for ourselves.

    Raises:
        StackError: another run holds it, or it cannot be written.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "run.lock").open("a")
    except OSError as error:
        raise StackError(
            f"cannot write to STATE_DIR {state_dir} ({error.strerror}); set STATE_DIR to a folder "
            "of yours"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"another `make run` holds {state_dir}; stop it, or choose another folder and "
                "ports: STATE_DIR=.run2 SITE_PORT=8001 GATEWAY_PORT=8081 make run"
            ) from None
        yield


def remembered_port(file: Path) -> int:
    """Return the port written in the file when it is still free, else a new one, then written."""
    try:
        port = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        port = 0
    if not port or not port_is_free(port):
        port = free_port()
        file.write_text(f"{port}\n", encoding="ascii")
    return port


if __name__ == "__main__":
    sys.exit(main())
