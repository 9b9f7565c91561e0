"""Gateways that do something wrong on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from stack.gateway import Gateway
from stack.platform import Platform
from tests.gateway.changed_lua import changed_lua
from tests.gateway.conftest import OwnGateway


@contextmanager
def gateway_with(own: OwnGateway, path: str, old: str, new: str) -> Iterator[OwnGateway]:
    """The same gateway with one line of its Lua changed: a thief, or one that is slow or rash."""
    lua = changed_lua(own.gateway.directory, path, old, new)
    own.gateway.stop()
    settings = own.gateway.settings
    changed = replace(settings, more={**settings.more, "PUSHGATE_LUA_DIR": str(lua)})
    thief = Gateway(Platform.find(), own.gateway.directory, changed)
    thief.start()
    try:
        yield OwnGateway(thief, own.redis_server, own.log)
    finally:
        thief.stop()
