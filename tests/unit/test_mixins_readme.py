"""What the formatter's README shows is true: its Python is run, its tables are compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import formatter.mixins
from formatter.pipeline import STAGES, Pipeline

README = (Path(__file__).parents[2] / "formatter/README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {n}" for n in range(1, len(BLOCKS) + 1)])
def test_the_readmes_python_runs_and_its_tests_pass(block: str) -> None:
    module = ModuleType("readme")
    exec(compile(block, "formatter/README.md", "exec"), module.__dict__)
    tests: list[Callable[[], Any]] = [
        value for name, value in vars(module).items() if name.startswith("test_")
    ]
    for test in tests:
        test()


def test_the_readme_has_every_mixin_with_the_one_stage_it_overrides() -> None:
    rows = re.findall(r"^\| `(\w+Mixin)` \| `(\w+)`", README, re.MULTILINE)
    assert {name for name, _ in rows} == set(formatter.mixins.__all__)
    for name, stage in rows:
        mixin = getattr(formatter.mixins, name)
        overridden = {
            s for s in (*STAGES, "gather") if getattr(mixin, s) is not getattr(Pipeline, s)
        }
        if stage == "gather":
            # What goes for many at once may have to pass a stage by.
            assert stage in overridden, name
        else:
            assert overridden == {stage}, name


def test_the_readme_has_the_stages_in_their_order() -> None:
    section = README.split("## Pipelines")[1].split("## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \| event", section, re.MULTILINE)) == STAGES
