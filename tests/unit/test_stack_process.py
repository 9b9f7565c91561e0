"""Child processes end when they should, and with all of their group."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from stack.errors import DeadlineMissed, StackError
from stack.platform import REPOSITORY
from stack.process import Process, free_port, port_is_free, tail, wait_until


def lives(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sleeper(directory: Path, words: str = "") -> Process:
    """A shell that says its child's pid and waits for it."""
    script = f"{words} sleep 600 & echo $! > {directory}/child; wait; wait"
    return Process("sleeper", ("bash", "-c", script), log=directory / "log")


def start_sleeper(process: Process, directory: Path) -> int:
    """Start it and return its child's pid."""
    process.start()
    file = directory / "child"
    wait_until(lambda: file.exists() and file.read_text().strip(), 60, "the child is started")
    return int(file.read_text())


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    child = start_sleeper(process, tmp_path)

    assert process.stop() == -signal.SIGTERM
    wait_until(lambda: not lives(child), 60, "the child is gone")
    assert not process.running


def test_a_process_deaf_to_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    process = sleeper(tmp_path, words="trap '' TERM;")
    start_sleeper(process, tmp_path)

    assert process.stop(deadline_seconds=0.1) == -signal.SIGKILL


def test_stop_before_start_does_nothing(tmp_path: Path) -> None:
    assert sleeper(tmp_path).stop() is None


def test_a_running_process_is_not_started_twice(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    start_sleeper(process, tmp_path)
    try:
        with pytest.raises(StackError, match="sleeper runs already"):
            process.start()
    finally:
        process.stop()


def test_a_killed_process_can_be_started_again(tmp_path: Path) -> None:
    process = Process("sleeper", ("sleep", "600"), log=tmp_path / "log")
    process.start()
    first = process.pid
    process.kill()
    with pytest.raises(StackError, match="does not run"):
        _ = process.pid

    process.start()

    try:
        assert process.pid != first
    finally:
        process.stop()


def test_a_process_that_ends_at_its_start_is_reported_with_its_words(tmp_path: Path) -> None:
    process = Process("part", ("sh", "-c", "echo no such door; exit 3"), log=tmp_path / "log")
    process.start()

    with pytest.raises(StackError, match="(?s)part ended at its start.*no such door"):
        process.wait_until_ready(lambda: False, 10)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    process = Process("part", ("/no/such/program",), log=tmp_path / "log")

    with pytest.raises(StackError, match="part could not be started: .*/no/such/program"):
        process.start()


def test_a_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from stack.process import Process\n"
        f"process = Process('child', ('sleep', '600'), log=Path({str(tmp_path / 'log')!r}))\n"
        "process.start(); print(process.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert lives(child)
        os.kill(parent.pid, signal.SIGKILL)

    wait_until(lambda: not lives(child), 60, "the child is gone")


def test_a_missed_deadline_says_what_was_awaited() -> None:
    with pytest.raises(DeadlineMissed, match="until pigs fly"):
        wait_until(lambda: False, 0.01, "pigs fly")


def test_a_free_port_lies_below_those_of_outgoing_connections() -> None:
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert free_port() < max(first_outgoing, 12_000)


def test_two_processes_are_never_given_the_same_port() -> None:
    """Both would find it free, and one of their servers could not start."""
    seeded = "import random; random.seed(1); from stack.process import free_port; "
    show = seeded + "print([free_port() for _ in range(20)], flush=True); input()"
    command = [sys.executable, "-c", show]
    with ExitStack() as stack:
        others = [
            stack.enter_context(subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True))
            for _ in range(2)
        ]
        given = [free_port() for _ in range(20)]
        for other in others:
            assert other.stdout is not None
            given += json.loads(other.stdout.readline())
        assert len(set(given)) == 60
        for other in others:
            other.communicate("\n")


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        assert not port_is_free(listener.getsockname()[1])


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert tail(log, lines=2) == "line 9998\nline 9999"
