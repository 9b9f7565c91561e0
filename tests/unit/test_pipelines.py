"""How an event finds its pipeline and what the mixins make of it."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest

from formatter import Pipeline, Pipelines
from formatter.errors import InvalidPipelines
from formatter.registry import load_pipelines
from pushgate import Event, Frame


def data_of(frame: Frame) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(frame.data.split(b"\n")[1][6:])
    return value


class First(Pipeline):
    pass


class Second(Pipeline):
    pass


class Dropping(Pipeline):
    def admit(self, event: Event) -> bool:
        return False


def test_the_longest_beginning_that_fits_is_taken() -> None:
    pipelines = Pipelines({"comment.": First, "comment.hidden.": Second, "comment.deleted": Second})
    assert type(pipelines.for_type("comment.created")) is First
    assert type(pipelines.for_type("comment.hidden.now")) is Second
    assert type(pipelines.for_type("comment.deleted")) is Second
    assert type(pipelines.for_type("comment.deleted.twice")) is First
    assert type(pipelines.for_type("thread.created")) is Pipeline


def test_a_type_without_a_pipeline_passes_as_it_is() -> None:
    event = Event("thread.created", ("forum:1",), {"id": 3})
    (frame,) = Pipelines({}).for_type(event.type).run(event)
    assert frame.channels == ("forum:1",)
    assert data_of(frame)["id"] == 3


def test_an_event_not_admitted_has_no_frame() -> None:
    assert Dropping().run(Event("a", ("b",), {})) == ()


def test_what_is_no_pipeline_is_refused_by_name() -> None:
    with pytest.raises(InvalidPipelines, match="'comment.'"):
        Pipelines({"comment.": object})  # type: ignore[dict-item]


def test_a_module_that_names_no_pipelines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidPipelines, match="no such module"):
        load_pipelines("no_such_module_at_all")
    monkeypatch.setitem(sys.modules, "empty_pipelines", types.ModuleType("empty_pipelines"))
    with pytest.raises(InvalidPipelines, match="pipelines = "):
        load_pipelines("empty_pipelines")
