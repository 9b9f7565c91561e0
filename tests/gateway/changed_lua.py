"""The gateway's Lua with a fault planted in it."""

import shutil
from pathlib import Path

from stack.platform import REPOSITORY


def changed_lua(directory: Path, path: str, old: str, new: str) -> Path:
    """Return a copy, for PUSHGATE_LUA_DIR, in which one passage of one file is another."""
    lua = directory / "lua"
    shutil.copytree(REPOSITORY / "lua", lua)
    file = lua / "pushgate" / path
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has changed; this test changes {old!r} in it"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return lua
