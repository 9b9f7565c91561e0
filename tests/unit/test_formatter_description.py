"""What `describe` says of pipelines."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from formatter import Pipeline
from formatter.description import describe, settings_of, value_as_text
from formatter.mixins import PermalinkMixin
from formatter.overrides import running
from pushgate import Event, Frame


class StampMixin(Pipeline):
    """Works after those behind it."""

    stamp: str
    stamp_place = "top"
    signing_key = ""

    def transform(self, event: Event) -> Event:
        event = super().transform(event)
        return event.with_data({**event.data, "stamp": self.stamp})


class TrimMixin(Pipeline):
    """Works before those behind it."""

    longest = 80

    def transform(self, event: Event) -> Event:
        data = {name: str(value)[: self.longest] for name, value in event.data.items()}
        return super().transform(event.with_data(data))


class OpenMixin(Pipeline):
    def admit(self, event: Event) -> bool:
        return bool(event.data) and super().admit(event)


class LateMixin(Pipeline):
    def admit(self, event: Event) -> bool:
        return super().admit(event) and event.version > 0


class ShortMixin(Pipeline):
    def render(self, event: Event, channels: tuple[str, ...]) -> tuple[Frame, ...]:
        return super().render(event.with_data({}), channels)


class ClosedMixin(Pipeline):
    def route(self, event: Event) -> tuple[str, ...]:
        return ("user:1",)


class WideMixin(Pipeline):
    def route(self, event: Event) -> tuple[str, ...]:
        return (*super().route(event), "forum:1")


class NewsPipeline(
    StampMixin, TrimMixin, LateMixin, OpenMixin, ShortMixin, ClosedMixin, WideMixin, Pipeline
):
    stamp = "ink"
    signing_key = "very private"

    def transform(self, event: Event) -> Event:
        return super().transform(event)


def module_with(monkeypatch: pytest.MonkeyPatch, **content: Any) -> str:
    module = types.ModuleType("described_pipelines")
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def test_mixins_are_told_in_the_order_they_do_their_work() -> None:
    assert running(NewsPipeline, "transform") == [TrimMixin, StampMixin, NewsPipeline]
    assert running(NewsPipeline, "admit") == [OpenMixin, LateMixin]
    assert running(NewsPipeline, "render") == [ShortMixin]


def test_behind_one_that_does_not_hand_on_nothing_runs() -> None:
    assert running(NewsPipeline, "route") == [ClosedMixin]


def test_a_pipeline_is_described_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(PermalinkMixin, Pipeline):
        permalink = "/news/{id}/"

        def gather(self, event: Event) -> float:
            return 1.0

    name = module_with(
        monkeypatch,
        pipelines={"vote.": Other, "news.": NewsPipeline, "alert": NewsPipeline},
        publishers=[Publisher()],
    )
    here = __name__
    assert describe(name) == (
        f"alert news.*  NewsPipeline ({here})\n"
        f"  admit      OpenMixin ({here})\n"
        f"             LateMixin ({here})\n"
        "  enrich     -\n"
        f"  transform  TrimMixin ({here})\n"
        f"             StampMixin ({here})\n"
        f"             NewsPipeline ({here})\n"
        f"  route      ClosedMixin ({here})\n"
        f"  render     ShortMixin ({here})\n"
        "  settings   stamp = 'ink'\n"
        "             signing_key = ***\n"
        "\n"
        f"vote.*  test_a_pipeline_is_described_whole.<locals>.Other ({here})\n"
        f"  gather     test_a_pipeline_is_described_whole.<locals>.Other ({here})\n"
        "  admit      -\n"
        "  enrich     -\n"
        "  transform  PermalinkMixin (formatter.mixins.permalink)\n"
        "  route      -\n"
        "  render     -\n"
        "  settings   permalink = '/news/{id}/'\n"
        "\n"
        "every other type  Pipeline: passes as it is\n"
        "\n"
        "publishers\n"
        "  the log, always\n"
        "  firehose: Webhook of thread:*\n"
    )


class Publisher:
    def describe(self) -> str:
        return "firehose: Webhook of thread:*"


def test_a_setting_that_is_only_announced_is_missing() -> None:
    class Unstamped(StampMixin, Pipeline):
        pass

    found = {setting.name: setting for setting in settings_of(Unstamped)}
    assert found["stamp"].missing
    assert found["stamp"].owner is StampMixin
    assert found["stamp_place"].default


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("tags", frozenset({"p", "em", "a"}), "{'a', 'em', 'p'}"),
        ("api", "https://reader:hunter2@api.test/x", "'https://***@api.test/x'"),
        ("headers", {"Authorization": "Bearer x", "Accept": "*/*"}, None),
        ("webhook_secret", "", "''"),
        ("text", "x" * 100, "'" + "x" * 68 + "..."),
    ],
)
def test_values_are_short_stable_and_not_secret(name: str, value: object, text: str | None) -> None:
    assert value_as_text(name, value) == (text or "{'Authorization': ***, 'Accept': '*/*'}")
