"""What `make run` refuses, in one sentence, before anything is started."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stack.platform import REPOSITORY
from stack.process import free_port
from tests.started_run import STAND_INS, StartedRun


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def refuse(state_dir: Path, environment: Mapping[str, str]) -> str:
    """Run, expect exit status 1 and one line, and return it."""
    ended = subprocess.run(
        STAND_INS,
        cwd=REPOSITORY,
        env={
            **os.environ,
            "STATE_DIR": str(state_dir),
            "SITE_PORT": str(free_port()),
            "GATEWAY_PORT": str(free_port()),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("variable", ["SITE_PORT", "GATEWAY_PORT"])
def test_a_port_in_use_is_named_with_the_variable_to_set(
    tmp_path: Path, taken_port: int, variable: str
) -> None:
    sentence = refuse(tmp_path / "state", {variable: str(taken_port)})

    assert f"port {taken_port} is in use" in sentence
    assert f"{variable}={taken_port + 1} make run" in sentence
    assert not (tmp_path / "state" / "supervisord.pid").exists()


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "8000.5"])
def test_a_malformed_port_is_refused(tmp_path: Path, port: str) -> None:
    assert f"SITE_PORT '{port}'" in refuse(tmp_path / "state", {"SITE_PORT": port})


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    sentence = refuse(tmp_path / "state", {"SITE_PORT": "8399", "GATEWAY_PORT": "8399"})

    assert "SITE_PORT and GATEWAY_PORT are both 8399" in sentence


def test_a_state_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "set STATE_DIR to a folder of yours" in refuse(tmp_path / "file" / "state", {})


def test_a_state_folder_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    assert "set STATE_DIR to a shorter path" in refuse(tmp_path / ("long" * 30), {})


@pytest.mark.real_redis
def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    first = StartedRun(tmp_path / "state")
    try:
        first.wait_until_ready()
        before = first.processes()

        sentence = refuse(tmp_path / "state", {})

        assert f"another `make run` holds {tmp_path / 'state'}" in sentence
        assert first.processes() == before
        first.child.send_signal(signal.SIGTERM)
        assert first.child.wait(60) == 0
    finally:
        first.end()
