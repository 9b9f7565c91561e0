"""What `describe` prints: each pipeline, its stages, and which mixins run in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from formatter.overrides import HOOKS, own_classes, running
from formatter.pipeline import STAGES, Pipeline
from formatter.registry import load_pipelines

LONGEST_VALUE = 72

_SECRET = re.compile(
    r"secret|passw|token|credential|authorization|(api|private|signing)_?key", re.I
)
_USER_IN_ADDRESS = re.compile(r"://[^/@\s'\"]+@")
_NOTHING = object()
_IN_MEMORY = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Setting:
    """An attribute of a pipeline that its mixins read.

    Attributes:
        name: the attribute's.
        owner: the class that has it first, the one that reads it.
        value: what it is for this pipeline, as text.
        missing: it is only announced (`permalink: str`), and nobody gave it a value.
        default: it is what its mixin comes with.
    """

    name: str
    owner: type[Pipeline]
    value: str
    missing: bool
    default: bool


def describe(module_name: str) -> str:
    """The pipelines of a module and its publishers, as a text for people.

    Raises:
        InvalidPipelines: the module does not say which pipelines there are.
    """
    load_pipelines(module_name)
    module = import_module(module_name)
    types_of: dict[type[Pipeline], list[str]] = {}
    for name, pipeline in sorted(module.pipelines.items()):
        types_of.setdefault(pipeline, []).append(name)
    blocks = ["\n".join(_lines_of(types, pipeline)) for pipeline, types in types_of.items()]
    blocks.append("every other type  Pipeline: passes as it is")
    blocks.append("\n".join(_publisher_lines(module)))
    return "\n\n".join(blocks) + "\n"


def settings_of(pipeline: type[Pipeline]) -> list[Setting]:
    """The public attributes that are data, in the order the mixins run, each once."""
    found: dict[str, Setting] = {}
    for cls in reversed(own_classes(pipeline)):
        for name in (*vars(cls).get("__annotations__", ()), *vars(cls)):
            if name.startswith("_") or name in found:
                continue
            missing = not hasattr(pipeline, name)
            value = None if missing else getattr(pipeline, name)
            if callable(value) or hasattr(value, "__get__"):
                continue
            shown = "(missing)" if missing else value_as_text(name, value)
            default = cls is not pipeline and vars(cls).get(name, _NOTHING) is value
            found[name] = Setting(name, cls, shown, missing, default)
    return list(found.values())


def value_as_text(name: str, value: object) -> str:
    """A value on one line, short, alike each time, with nothing secret in it."""
    text = _USER_IN_ADDRESS.sub("://***@", _IN_MEMORY.sub("", _shown(name, value)))
    text = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _shown(name: str, value: object) -> str:
    if _SECRET.search(name) and value:
        return "***"
    if isinstance(value, Mapping):
        pairs = (f"{key!r}: {_shown(str(key), inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, set | frozenset) and value:
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    return repr(value)


def _lines_of(types: Sequence[str], pipeline: type[Pipeline]) -> Iterator[str]:
    yield f"{' '.join(_as_pattern(name) for name in types)}  {_with_module(pipeline)}"
    for stage in HOOKS:
        runs = [_with_module(cls) for cls in running(pipeline, stage)]
        if runs or stage in STAGES:
            yield from _row(stage, runs or ["-"])
    settings = [f"{s.name} = {s.value}" for s in settings_of(pipeline) if not s.default]
    if settings:
        yield from _row("settings", settings)


def _row(label: str, entries: Sequence[str]) -> Iterator[str]:
    for place, entry in enumerate(entries):
        yield f"  {label if place == 0 else '':<10} {entry}"


def _as_pattern(name: str) -> str:
    return f"{name}*" if name.endswith(".") else name


def _with_module(cls: type[Any]) -> str:
    return f"{cls.__qualname__} ({cls.__module__})"


def _publisher_lines(module: ModuleType) -> Iterator[str]:
    yield "publishers"
    yield "  the log, always"
    for publisher in getattr(module, "publishers", None) or ():
        describe_it = getattr(publisher, "describe", None)
        yield f"  {describe_it() if callable(describe_it) else _with_module(type(publisher))}"
