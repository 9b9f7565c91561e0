"""What `check-config` finds wrong with a module of pipelines, without running an event."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import PermalinkMixin, RenderMarkdownMixin
from formatter.pipelines_check import Findings, check_pipelines
from pushgate import Event


def found_in(monkeypatch: pytest.MonkeyPatch, **content: Any) -> Findings:
    module = types.ModuleType("checked_pipelines")
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    findings = Findings()
    check_pipelines(module.__name__, findings)
    return findings


def problems_of(monkeypatch: pytest.MonkeyPatch, pipeline: object) -> list[str]:
    return found_in(monkeypatch, pipelines={"comment.": pipeline}).problems


class Good(RenderMarkdownMixin, PermalinkMixin, Pipeline):
    permalink = "/c/{id}/"

    def transform(self, event: Event) -> Event:
        return super().transform(event)

    def permalink_of(self, event: Event) -> str:
        return self.permalink


def test_a_good_module_has_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = found_in(monkeypatch, pipelines={"comment.": Good, "vote": Good}, publishers=[])
    assert findings == Findings()


class Deaf(Pipeline):
    def transform(self, event: Event) -> Event:
        return event


class Hiding(Deaf, PermalinkMixin, Pipeline):
    permalink = "/c/{id}/"


def test_an_override_that_hides_another_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_of(monkeypatch, Hiding) == [
        "Deaf.transform does not call super(), so in Hiding the transform of PermalinkMixin never "
        "runs"
    ]


def test_an_override_without_super_that_hides_nothing_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    findings = found_in(monkeypatch, pipelines={"comment.": Deaf})
    assert findings.problems == []
    assert findings.warnings == [
        "Deaf.transform does not call super(): no mixin behind it would ever run in transform"
    ]


class Misspelt(Pipeline):
    def trasnform(self, event: Event) -> Event:
        return event

    def renders(self, event: Event) -> str:
        return ""

    def enrich(self, event: Event) -> Event:
        self.renders(event)
        return super().enrich(event)

    def render_html(self) -> str:
        return ""


def test_a_misspelt_stage_is_named_and_a_helper_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_of(monkeypatch, Misspelt) == [
        "Misspelt.trasnform is never called: is it the stage transform, misspelt?"
    ]


class Needy(Pipeline):
    thread_url: str


class Refusing(Pipeline):
    def __init__(self) -> None:
        raise InvalidPipelines("Refusing: RouteMixin needs further_channels = ('forum:{forum}',)")


class Crashing(Pipeline):
    def __init__(self) -> None:
        raise RuntimeError("no template")


class WrongShape(Pipeline):
    def render(self, event: Event) -> Any:  # type: ignore[override]
        return super().render(event, ())


class Waiting(Pipeline):
    async def enrich(self, event: Event) -> Event:  # type: ignore[override]
        return super().enrich(event)


class NoMethod(Pipeline):
    route = ("thread:1",)  # type: ignore[assignment]


class Hasty(Pipeline):
    deadline_seconds = 0.0


class Gathering(Pipeline):
    def gather(self, event: Event) -> float:
        return 2.0


@pytest.mark.parametrize(
    ("pipeline", "sentence"),
    [
        (Needy, "Needy: Needy needs thread_url: set it in the class"),
        (Refusing, "Refusing: RouteMixin needs further_channels = ('forum:{forum}',)"),
        (Crashing, "Crashing cannot be made: RuntimeError: no template"),
        (WrongShape, "WrongShape.render must take (self, event, channels)"),
        (Waiting, "Waiting.enrich is async: stages are plain methods, gevent does the rest"),
        (NoMethod, "NoMethod.route is not a method"),
        (Hasty, "Hasty.deadline_seconds = 0.0: use seconds above 0"),
        (
            Gathering,
            "Gathering overrides gather and not collapse: it has to say what one event is made of "
            "the gathered",
        ),
        (
            object,
            "pipeline of 'comment.': <class 'object'> is not a subclass of formatter.Pipeline",
        ),
    ],
)
def test_each_fault_of_a_pipeline_has_its_sentence(
    pipeline: object, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert problems_of(monkeypatch, pipeline) == [sentence]


@pytest.mark.parametrize(
    "name", ["Comment.", "comment..", ".", "", "comment created", "reset", "gone", "x" * 64 + "."]
)
def test_a_type_that_no_event_can_have_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = found_in(monkeypatch, pipelines={name: Good}).problems
    assert problem.startswith(f"pipelines: {name!r} can never match an event: type ")


def test_a_star_is_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = found_in(monkeypatch, pipelines={"comment.*": Good}).problems
    assert problem.endswith("; for all types that begin so, write 'comment.'")


def test_the_longest_prefix_that_can_match_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_in(monkeypatch, pipelines={"x" * 62 + ".": Good}).problems == []


class Webhook:
    pass


@pytest.mark.parametrize(
    ("publishers", "sentence"),
    [
        ("webhook", "checked_pipelines: publishers = 'webhook': use a list"),
        ([Webhook], "checked_pipelines: publishers: Webhook is a class: put Webhook(...)"),
    ],
)
def test_publishers_are_checked(
    publishers: object, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = found_in(monkeypatch, pipelines={}, publishers=publishers)
    assert findings.problems == [sentence]


def test_a_module_without_pipelines_is_told_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found_in(monkeypatch).problems == [
        "checked_pipelines: it needs pipelines = {'comment.': CommentPipeline}"
    ]


@pytest.mark.parametrize(
    ("source", "beginning", "line"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'", 1),
        ("x = (\n", "SyntaxError: '(' was never closed", 1),
        ("\n\n1 / 0", "ZeroDivisionError: division by zero", 3),
    ],
)
def test_a_module_that_cannot_be_imported_says_where(
    source: str,
    beginning: str,
    line: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken_pipelines.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    findings = Findings()
    check_pipelines("broken_pipelines", findings)
    path = tmp_path / "broken_pipelines.py"
    assert findings.problems == [
        f"broken_pipelines cannot be imported: {beginning} ({path}:{line})"
    ]


def test_a_module_that_is_not_there_is_told_where_it_is_looked_for() -> None:
    findings = Findings()
    check_pipelines("no_such_site.pipelines", findings)
    assert findings.problems == [
        "no_such_site.pipelines: there is no such module; is the site's folder on PYTHONPATH?"
    ]
