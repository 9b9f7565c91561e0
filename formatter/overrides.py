"""Which classes of a pipeline have a hand in a stage, and in which order; read off the classes
themselves, without running anything.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from formatter.pipeline import Pipeline

HOOKS = tuple(
    name
    for name, value in vars(Pipeline).items()
    if inspect.isfunction(value) and not name.startswith("_") and name != "run"
)
"""What the worker calls and a pipeline may override: the stages, and what stands around them."""


def own_classes(pipeline: type[Pipeline]) -> list[type[Any]]:
    """All that a pipeline is made of, itself first, `Pipeline` left out."""
    return [cls for cls in pipeline.__mro__ if cls not in (Pipeline, object)]


def overriding(pipeline: type[Pipeline], method: str) -> list[type[Any]]:
    """The classes that override a method, the outermost first, also those that never run."""
    return [cls for cls in own_classes(pipeline) if method in vars(cls)]


def running(pipeline: type[Pipeline], method: str) -> list[type[Any]]:
    """The classes that override a method, in the order they do their work.

    One that calls `super()` first works after those behind it, one that calls it last before them;
    behind one that does not call it nothing runs.
    """
    before: list[type[Any]] = []
    after: list[type[Any]] = []
    for cls in overriding(pipeline, method):
        function = function_of(cls, method)
        if function is None or not calls_super(function, method):
            before.append(cls)
            break
        (before if _works_first(function, method) else after).append(cls)
    return before + after[::-1]


def function_of(cls: type[Any], method: str) -> Callable[..., Any] | None:
    """The function behind a method of this very class, its decorators taken off; None when it is
    something else."""
    value = vars(cls).get(method)
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    function = inspect.unwrap(value) if callable(value) else None
    return function if inspect.isfunction(function) else None


def calls_super(function: Callable[..., Any], method: str) -> bool:
    """Whether a function seems to hand on to the next class: by `super()`, or by that class' name.

    It names either somewhere in its code, that of functions within it included.
    """
    names: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names, code.co_freevars)
        codes += [inner for inner in code.co_consts if inspect.iscode(inner)]
    return "super" in names or method in names


def _works_first(function: Callable[..., Any], method: str) -> bool:
    """Whether the work stands before the call of `super()`; not, where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    definition = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), None)
    if definition is None:
        return False
    body = definition.body[1:] if ast.get_docstring(definition) else definition.body
    place, call = next(
        ((n, call) for n, line in enumerate(body) if (call := _handing_on(line, method))),
        (0, None),
    )
    if call is None:
        return False
    # `return self.wants(event) and super().admit(event)`, or work among the arguments.
    statement = body[place]
    choice = statement.value if isinstance(statement, ast.Return) else None
    chosen_late = isinstance(choice, ast.BoolOp) and not _handing_on(choice.values[0], method)
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return place > 0 or chosen_late or any(not isinstance(value, ast.Name) for value in given)


def _handing_on(within: ast.AST, method: str) -> ast.Call | None:
    """The call `something.method(...)` in a piece of source."""
    for node in ast.walk(within):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == method
        ):
            return node
    return None
