"""Numbers that a mixin takes from its host class."""

from __future__ import annotations

from formatter.errors import InvalidPipelines
from formatter.pipeline import Pipeline


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
