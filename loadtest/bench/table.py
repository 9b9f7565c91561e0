"""A table as a benchmark prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MISSED = "MISSED"


@dataclass(frozen=True)
class Table:
    """What a benchmark found.

    Attributes:
        title: what was measured, and in which unit.
        columns: their headings; the first is that of the rows' names.
        rows: a name and its cells.
        notes: sentences under the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        return "\n".join(
            [self.title, *("  " + _line(cells, widths) for cells in lines), *self.notes]
        )

    @property
    def is_met(self) -> bool:
        """Whether no target was missed."""
        return not any(_MISSED in cell for row in self.rows for cell in row)

    def markdown(self) -> str:
        """Return it as a section of a page: heading, table, notes."""
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.columns, *self.rows)]
        rule = "|" + "|".join("---" if place == 0 else "---:" for place in range(len(self.columns)))
        lines.insert(1, rule + "|")
        return "\n".join([f"### {self.title}", "", *lines, "", *self.notes]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others])


def met(is_met: bool) -> str:
    """Return what a table says of a target."""
    return "met" if is_met else _MISSED
