"""A text with names of an event's data in braces: `/threads/{thread}/#comment-{id}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from formatter.errors import InvalidPipelines
from formatter.pipeline import Pipeline

_NAME = re.compile(r"[^.:!\[\]{}]+")


class Pattern:
    """Fills names with values and does nothing else: unlike `str.format` it reaches no attribute
    and no item of a value, and converts nothing.

    Args:
        host: whose pattern it is.
        attribute: what the host calls it; both for the error's sentence.
        text: braces that are meant as such are doubled, as with `str.format`.
        quote: what is done to a value that is text before it is put in.

    Raises:
        InvalidPipelines: something else than a name stands in braces.
    """

    def __init__(
        self, host: Pipeline, attribute: str, text: object, quote: Callable[[str], str] = str
    ) -> None:
        self._quote = quote
        where = f"{type(host).__name__}.{attribute} = {text!r}"
        if not isinstance(text, str):
            raise InvalidPipelines(f"{where}: use text")
        try:
            parts = list(Formatter().parse(text))
        except ValueError as error:
            raise InvalidPipelines(f"{where}: {error}") from None
        names: list[str] = []
        form = ""
        for literal, name, spec, conversion in parts:
            form += literal.replace("%", "%%")
            if name is None:
                continue
            if not _NAME.fullmatch(name) or spec or conversion:
                raise InvalidPipelines(
                    f"{where}: put names of the event's data in braces and nothing else, {{id}} say"
                )
            names.append(name)
            form += "%s"
        self._names = tuple(names)
        self._form = form

    def fill(self, data: Mapping[str, Any]) -> str | None:
        """Returns the text with values in it: whole numbers and texts.

        None when a name has no value to put there: it is missing, null, another kind of thing, or a
        text of nothing but dots, which an address would take for a step up.
        """
        values = []
        for name in self._names:
            value = data.get(name)
            if type(value) is int:
                values.append(str(value))
            elif isinstance(value, str) and value.strip("."):
                values.append(self._quote(value))
            else:
                return None
        return self._form % tuple(values)
