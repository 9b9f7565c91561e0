"""A copy of the source in which a few texts are replaced: with crash points, or with a bug planted.

The product itself has no switch for either, so what is proved of the copy is proved of the product,
but for the lines named here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stack.platform import REPOSITORY

FOLDERS = (
    "pushgate",
    "django_hooks",
    "formatter",
    "example_site",
    "stack",
    "lua",
    "nginx",
    "loadtest",
    "tests/faults",
)
_LINKED = (".platform",)
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


class EditFailed(Exception):
    """The text to be replaced is not there, or more than once: the edit is older than the code."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement.

    Attributes:
        path: the file, from the repository's root.
        old: stands in it exactly once.
        new: what takes its place.
    """

    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Replace the text in the copy at `root`.

        Raises:
            EditFailed: it is not there exactly once.
        """
        file = root / self.path
        text = file.read_text(encoding="utf-8")
        found = text.count(self.old)
        if found != 1:
            raise EditFailed(f"{self.path} has {self.old!r} {found} times; write the edit anew")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


def build(root: Path, edits: Iterable[Edit] = (), added: Iterable[tuple[str, str]] = ()) -> None:
    """Copy the source to `root`, make the edits, and write the added files (path, text).

    Raises:
        EditFailed: an edit does not fit the code.
    """
    for folder in FOLDERS:
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=_IGNORED)
    shutil.copy(REPOSITORY / "tests" / "__init__.py", root / "tests" / "__init__.py")
    for name in _LINKED:
        if (REPOSITORY / name).exists():
            (root / name).symlink_to(REPOSITORY / name)
    for path, text in added:
        (root / path).write_text(text, encoding="utf-8")
    for edit in edits:
        edit.apply(root)
