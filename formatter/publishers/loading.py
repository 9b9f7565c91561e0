"""Which publishers there are: the attribute `publishers` of the module with the pipelines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module

from formatter.errors import InvalidPublishers
from formatter.publishers.publisher import Publisher


def load_publishers(
    module_name: str, environment: Mapping[str, str] | None = None
) -> tuple[Publisher, ...]:
    """Reads the attribute `publishers` of a module, a list; none when it has no such attribute.

    Args:
        module_name: as given to `--pipelines`; `formatter.registry.load_pipelines` has found it.
        environment: where secrets are read from; the process's own when not given.

    Raises:
        InvalidPublishers: it is no list of publishers, two have one name, or one cannot be started.
    """
    publishers = getattr(import_module(module_name), "publishers", [])
    if not isinstance(publishers, list | tuple):
        raise InvalidPublishers(f"{module_name}: publishers = {publishers!r}: use a list")
    names: set[str] = set()
    for publisher in publishers:
        if isinstance(publisher, type):
            called = publisher.__qualname__
            raise InvalidPublishers(
                f"{module_name}: publishers: {called} is a class: put {called}(...)"
            )
        if not isinstance(publisher, Publisher):
            raise InvalidPublishers(
                f"{module_name}: publishers holds {publisher!r}: use Webhook(...), WebSub(...) or "
                "another subclass of formatter.publishers.Publisher"
            )
        if publisher.name in names:
            raise InvalidPublishers(
                f"{module_name}: two publishers are named {publisher.name!r}: each needs a name of "
                "its own, under which its place in the log is kept"
            )
        names.add(publisher.name)
        publisher.configure(os.environ if environment is None else environment)
    return tuple(publishers)
