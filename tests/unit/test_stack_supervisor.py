"""The configuration that supervisord is given."""

import os
import subprocess
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from stack.parts import Part
from stack.supervisor import Supervisor

PART = Part(
    name="site",
    command=("printf", "%s|", "two words", "it's", '"$HOME"', "100%"),
    healthy=lambda: True,
    healthy_means="prints",
    environment={"OWN": "own's value"},
    stop_seconds=7,
)


@pytest.fixture(params=["state", "with space", "100% sure; it's"])
def state_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """State folders whose names could be misread."""
    folder: Path = tmp_path / request.param
    folder.mkdir()
    Supervisor(folder).configure([PART], {"COMMON": "$HOME 50%"})
    return folder


def test_a_part_is_kept_running_for_ever(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(state_dir)
    options = ServerOptions()
    options.realize(["-c", str(state_dir / "supervisord.conf")])

    (group,) = options.process_group_configs
    (program,) = group.process_configs
    assert (program.startsecs, program.startretries) == (0, 1_000_000)
    assert program.stopwaitsecs == 7
    assert program.command == "/bin/sh parts/site.sh"
    assert program.stdout_logfile == "logs/site.log"


def test_the_script_gives_the_command_its_words_and_writes_the_pid(state_dir: Path) -> None:
    script = state_dir / "parts/site.sh"

    ended = subprocess.run(["/bin/sh", script], capture_output=True, text=True, check=True)

    assert ended.stdout == 'two words|it\'s|"$HOME"|100%|'
    assert (state_dir / "site.pid").read_text().strip().isdecimal()


def test_the_script_tells_the_part_its_environment(state_dir: Path) -> None:
    script = (state_dir / "parts/site.sh").read_text().replace("printf", "env #")

    ended = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)

    assert "COMMON=$HOME 50%" in ended.stdout.splitlines()
    assert "OWN=own's value" in ended.stdout.splitlines()


def test_only_the_owner_may_read_a_script(state_dir: Path) -> None:
    assert os.stat(state_dir / "parts/site.sh").st_mode & 0o077 == 0
