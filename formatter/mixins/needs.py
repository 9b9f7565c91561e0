"""What a mixin needs from its host class: read when the pipeline is made, which is at start."""

from __future__ import annotations

from typing import Any

from formatter.errors import InvalidPipelines
from formatter.pipeline import Pipeline


def needed(host: Pipeline, mixin: type[Pipeline], attribute: str, example: object) -> Any:
    """Returns the host's attribute.

    Raises:
        InvalidPipelines: the host does not set it.
    """
    value = getattr(host, attribute, None)
    if value is None or value == "" or value == ():
        raise InvalidPipelines(
            f"{type(host).__name__}: {mixin.__name__} needs {attribute} = {example!r}, say"
        )
    return value


def texts(host: Pipeline, attribute: str) -> tuple[str, ...]:
    """Returns the host's attribute, which holds several texts. A lone text, whose letters would
    be taken for texts, is the usual mistake.

    Raises:
        InvalidPipelines: it is anything else.
    """
    return checked_texts(host, attribute, getattr(host, attribute))


def checked_texts(host: Pipeline, name: str, value: object) -> tuple[str, ...]:
    """Returns the value as texts; `name` is what the error calls it.

    Raises:
        InvalidPipelines: it is not several texts.
    """
    if isinstance(value, tuple | list | set | frozenset) and all(
        isinstance(text, str) and text for text in value
    ):
        return tuple(value)
    raise InvalidPipelines(
        f"{type(host).__name__}.{name} = {value!r}: use a tuple of names, ('text',) say"
    )


def check_number(
    host: Pipeline, attribute: str, *, least: float = 0.0, most: float, whole: bool = False
) -> None:
    """Checks that the host's attribute is a number from `least` to `most`.

    Args:
        least: 0 stands for any number above it.
        whole: whether it counts something.

    Raises:
        InvalidPipelines: it is not.
    """
    value = getattr(host, attribute)
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not least <= value <= most or (value == 0 and least == 0):
        raise InvalidPipelines(
            f"{type(host).__name__}.{attribute} = {value!r}: use a "
            f"{'whole number' if whole else 'number'} {f'from {least:g}' if least else 'above 0'} "
            f"to {most:g}"
        )
