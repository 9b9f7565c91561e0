"""Runs the Lua tests, one file at a time, on LuaJIT as nginx does."""

import subprocess
from pathlib import Path

import pytest

from stack.platform import REPOSITORY

SPECS = sorted(Path(__file__).parent.rglob("*_spec.lua"))


def test_there_are_lua_tests() -> None:
    assert SPECS


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_spec(spec: Path) -> None:
    ended = subprocess.run(
        [
            "luajit",
            "/usr/bin/busted",
            "--lpath=./lua/?.lua;./tests/lua/?.lua",
            "--shuffle",
            str(spec),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n0 successes" not in "\n" + ended.stdout, "a file without a test"
