"""Gateways that do something wrong on purpose."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from stack.gateway import Gateway
from stack.platform import REPOSITORY, Platform
from tests.gateway.conftest import OwnGateway


@contextmanager
def gateway_with(own: OwnGateway, path: str, old: str, new: str) -> Iterator[OwnGateway]:
    """The same gateway with one line of its Lua changed: a thief, or one that is slow or rash."""
    lua = own.gateway.directory / "lua"
    shutil.copytree(REPOSITORY / "lua", lua)
    file = lua / "pushgate" / path
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has changed; this test changes {old!r} in it"
    file.write_text(text.replace(old, new), encoding="utf-8")
    own.gateway.stop()
    settings = own.gateway.settings
    changed = replace(settings, more={**settings.more, "PUSHGATE_LUA_DIR": str(lua)})
    thief = Gateway(Platform.find(), own.gateway.directory, changed)
    thief.start()
    try:
        yield OwnGateway(thief, own.redis_server, own.log)
    finally:
        thief.stop()
