"""What can be wrong with the module given by `--pipelines`, found without running an event."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from formatter.description import settings_of
from formatter.errors import InvalidPublishers
from formatter.overrides import HOOKS, calls_super, function_of, overriding, own_classes
from formatter.pipeline import STAGES, Pipeline
from formatter.publishers import load_publishers
from pushgate import Event, PushgateError

ALIKE = 0.75
"""How near a method's name may come to a hook's; `render_html` is 0.71, `trasnform` 0.89."""


@dataclass(slots=True)
class Findings:
    """What a check found, a sentence each.

    Attributes:
        problems: what keeps the formatter from doing its work, or does something else than meant.
        warnings: what may be meant.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_pipelines(module_name: str, findings: Findings) -> None:
    """Checks the module, its pipelines and its publishers."""
    try:
        module = import_module(module_name)
    except Exception as error:
        findings.problems.append(_not_imported(module_name, error))
        return
    by_type = getattr(module, "pipelines", None)
    if not isinstance(by_type, dict):
        findings.problems.append(
            f"{module_name}: it needs pipelines = {{'comment.': CommentPipeline}}"
        )
    else:
        for name, pipeline in by_type.items():
            findings.problems += _wrong_with_type(name)
            if not (isinstance(pipeline, type) and issubclass(pipeline, Pipeline)):
                findings.problems.append(
                    f"pipeline of {name!r}: {pipeline!r} is not a subclass of formatter.Pipeline"
                )
        classes = dict.fromkeys(by_type.values())
        for pipeline in classes:
            if isinstance(pipeline, type) and issubclass(pipeline, Pipeline):
                _check_pipeline(pipeline, findings)
    findings.problems += _wrong_with_publishers(module_name)


def _not_imported(module_name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or "\0"):
        return f"{module_name}: there is no such module; is the site's folder on PYTHONPATH?"
    where = ""
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}:{error.lineno})"
    elif frames := traceback.extract_tb(error.__traceback__):
        where = f" ({frames[-1].filename}:{frames[-1].lineno})"
    what = error.msg if isinstance(error, SyntaxError) else error
    return f"{module_name} cannot be imported: {type(error).__name__}: {what}{where}"


def _wrong_with_type(name: object) -> Iterator[str]:
    """Whether any event can have this type, or one that begins so; `Event` knows its own rule."""
    if not isinstance(name, str):
        yield f"pipelines: {name!r} is no event type: use text"
        return
    try:
        Event(f"{name}x" if name.endswith(".") else name, ("channel",), {})
    except PushgateError as error:
        hint = f"; for all types that begin so, write {name[:-1]!r}" if name[-2:] == ".*" else ""
        yield f"pipelines: {name!r} can never match an event: {error}{hint}"


def _check_pipeline(pipeline: type[Pipeline], findings: Findings) -> None:
    try:
        instance = pipeline()
    except PushgateError as error:
        findings.problems.append(str(error))
    except Exception as error:
        findings.problems.append(
            f"{pipeline.__qualname__} cannot be made: {type(error).__name__}: {error}"
        )
    else:
        findings.problems += (
            f"{pipeline.__qualname__}: {setting.owner.__qualname__} needs {setting.name}: "
            "set it in the class"
            for setting in settings_of(pipeline)
            if setting.missing and not hasattr(instance, setting.name)
        )
        findings.problems += _wrong_with_deadline(pipeline, instance)
    findings.problems += _wrong_names(pipeline)
    for hook in HOOKS:
        classes = overriding(pipeline, hook)
        for place, cls in enumerate(classes):
            _check_override(pipeline, cls, hook, classes[place + 1 :], findings)
    if overriding(pipeline, "gather") and not overriding(pipeline, "collapse"):
        findings.problems.append(
            f"{pipeline.__qualname__} overrides gather and not collapse: it has to say what one "
            "event is made of the gathered"
        )


def _wrong_with_deadline(pipeline: type[Pipeline], instance: Pipeline) -> Iterator[str]:
    seconds = instance.deadline_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        yield f"{pipeline.__qualname__}.deadline_seconds = {seconds!r}: use seconds above 0"


def _check_override(
    pipeline: type[Pipeline],
    cls: type[Any],
    hook: str,
    behind: list[type[Any]],
    findings: Findings,
) -> None:
    name = f"{cls.__qualname__}.{hook}"
    function = function_of(cls, hook)
    if function is None:
        findings.problems.append(f"{name} is not a method")
        return
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        findings.problems.append(f"{name} is async: stages are plain methods, gevent does the rest")
        return
    expected = list(inspect.signature(getattr(Pipeline, hook)).parameters)
    try:
        inspect.signature(function).bind(*expected)
    except TypeError:
        findings.problems.append(f"{name} must take ({', '.join(expected)})")
    # What stands around the stages is one class's; a stage is shared.
    if hook not in STAGES or calls_super(function, hook):
        return
    if behind:
        hidden = ", ".join(other.__qualname__ for other in behind)
        findings.problems.append(
            f"{name} does not call super(), so in {pipeline.__qualname__} the {hook} of {hidden} "
            "never runs"
        )
    else:
        findings.warnings.append(
            f"{name} does not call super(): no mixin behind it would ever run in {hook}"
        )


def _wrong_names(pipeline: type[Pipeline]) -> Iterator[str]:
    """Public methods that nobody calls and that are called nearly like a hook."""
    called = set(_names_used(own_classes(pipeline)))
    for cls in own_classes(pipeline):
        for name, value in vars(cls).items():
            if name.startswith("_") or hasattr(Pipeline, name) or name in called:
                continue
            near = get_close_matches(name.lower(), HOOKS, n=1, cutoff=ALIKE)
            if near and inspect.isroutine(value):
                yield (
                    f"{cls.__qualname__}.{name} is never called: is it the stage {near[0]}, "
                    "misspelt?"
                )


def _names_used(classes: Iterable[type[Any]]) -> Iterator[str]:
    for cls in classes:
        for name in vars(cls):
            function = function_of(cls, name)
            if function is not None:
                yield from function.__code__.co_names


def _wrong_with_publishers(module_name: str) -> Iterator[str]:
    try:
        load_publishers(module_name)
    except InvalidPublishers as error:
        yield str(error)
