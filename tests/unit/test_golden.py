"""Channels, cursors and keys are what the golden files say; Lua's tests read the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pushgate import Cursor, InvalidChannel, InvalidCursor, InvalidSetting, Keys, check_channel

GOLDEN = Path(__file__).parent.parent / "golden"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("case", cases("channels"), ids=lambda case: repr(case["name"][:30]))
def test_a_channels_name(case: dict[str, Any]) -> None:
    if case["valid"]:
        assert check_channel(case["name"]) == case["name"]
    else:
        with pytest.raises(InvalidChannel):
            check_channel(case["name"])


@pytest.mark.parametrize("case", cases("cursors"), ids=lambda case: repr(case["text"][:50]))
def test_a_cursors_text(case: dict[str, Any]) -> None:
    if case["valid"]:
        cursor = Cursor.parse(case["text"])
        assert (cursor.epoch, cursor.ms, cursor.seq) == (case["epoch"], case["ms"], case["seq"])
        assert str(cursor) == case["text"]
    else:
        with pytest.raises(InvalidCursor):
            Cursor.parse(case["text"])


@pytest.mark.parametrize("case", cases("keys"), ids=lambda case: case["key"])
def test_a_key(case: dict[str, Any]) -> None:
    found = getattr(Keys(case["namespace"]), case["call"])
    assert (found(*case["args"]) if callable(found) else found) == case["key"]


@pytest.mark.parametrize("namespace", ["", "a b", "{a}", "A", "-a", "a" * 64, "a\n"])
def test_a_namespace_that_would_break_keys_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidSetting, match="namespace"):
        Keys(namespace)
