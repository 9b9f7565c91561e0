"""Runs the Lua unit tests, one busted specification a test, on the LuaJIT that nginx' Lua is."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SPECIFICATIONS = sorted(path.name for path in (ROOT / "tests/lua").glob("*_spec.lua"))


@pytest.mark.parametrize("specification", SPECIFICATIONS)
def test_lua(specification: str) -> None:
    ran = subprocess.run(
        ["busted", "--lua=luajit", "--output=plainTerminal", f"tests/lua/{specification}"],
        cwd=ROOT,
        env={**os.environ, "LUA_PATH": f"{ROOT}/lua/?.lua;{ROOT}/tests/lua/?.lua;;"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 successes" not in ran.stdout
