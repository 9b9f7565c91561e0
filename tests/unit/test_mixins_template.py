"""HTML made by templates."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from jinja2 import DictLoader, UndefinedError
from jinja2.exceptions import SecurityError

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import RedactMixin, RenderMarkdownMixin, RenderTemplateMixin
from formatter.testing import run
from pushgate import Event
from tests.unit.test_mixins_html import HOSTILE, texts


class Comment(RenderTemplateMixin, Pipeline):
    template = '<li title="{{ author }}"><b>{{ author }}</b>: {{ text }}</li>'


COMMENT = Comment()


def html_of(pipeline: Pipeline | type[Pipeline], **data: Any) -> Any:
    return run(pipeline, Event("a", ("b",), data))["b"]["html"]


class Outline(HTMLParser):
    """Notes the tags and attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attributes))

    def handle_data(self, data: str) -> None:
        self.text += data


def check_escaped(text: str) -> None:
    outline = Outline(html_of(COMMENT, author=text, text=text))
    assert outline.tags == [("li", [("title", text)]), ("b", [])]
    assert outline.text == f"{text}: {text}"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_are_shown_not_obeyed(text: str) -> None:
    check_escaped(text)


@given(text=texts)
def test_every_value_comes_out_as_it_was_and_as_text(text: str) -> None:
    check_escaped(text)


def test_the_template_knows_the_events_own_names() -> None:
    class Named(RenderTemplateMixin, Pipeline):
        template = "{{ object }} {{ version }} {{ event_id }} {{ at }}"
        template_target = "line"

    event = Event("a", ("b",), {}, object="threads.comment:1", version=3)
    seen = run(Named, event)["b"]
    assert seen["line"] == f"threads.comment:1 3 {event.id} {event.at}"


def test_html_made_safe_by_another_mixin_goes_in_as_it_is() -> None:
    class Both(RenderTemplateMixin, RenderMarkdownMixin, Pipeline):
        template = "<li>{{ html|safe }}{{ text }}</li>"

    assert html_of(Both, text="*a*") == "<li><p><em>a</em></p>\n*a*</li>"


def test_a_missing_name_is_an_error_unless_asked_for() -> None:
    with pytest.raises(UndefinedError, match="author"):
        run(COMMENT, Event("a", ("b",), {"text": "x"}))

    class Asking(RenderTemplateMixin, Pipeline):
        template = "{% if author is defined %}{{ author }}{% else %}somebody{% endif %}"

    assert html_of(Asking) == "somebody"


def test_templates_come_from_a_loader_and_have_filters() -> None:
    class Loaded(RenderTemplateMixin, Pipeline):
        template_name = "comment.html"
        template_loader = DictLoader(
            {"comment.html": "{% include 'author.html' %}!", "author.html": "{{ author|shout }}"}
        )
        template_filters = {"shout": str.upper}

    assert html_of(Loaded, author="<ann>") == "&lt;ANN&gt;!"


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({}, "needs template = "),
        ({"template": "{% if %}"}, "TemplateSyntaxError"),
        ({"template_name": "x.html"}, "needs template_loader"),
        (
            {"template_name": "x.html", "template_loader": DictLoader({})},
            "TemplateNotFound: x.html",
        ),
        ({"template": "{{ x|no_such_filter }}"}, "no_such_filter"),
    ],
)
def test_a_template_that_cannot_be_had_is_refused_at_start(
    attributes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidPipelines, match=f"^Wrong: .*{named}"):
        type("Wrong", (RenderTemplateMixin, Pipeline), attributes)()


def test_a_template_cannot_change_the_events_data() -> None:
    class Changing(RenderTemplateMixin, Pipeline):
        template = "{{ tags.append('x') }}"

    with pytest.raises(SecurityError):
        run(Changing, Event("a", ("b",), {"tags": []}))


def test_each_audience_gets_html_made_of_what_it_sees() -> None:
    class Redacted(RedactMixin, RenderTemplateMixin, Pipeline):
        audiences = {"moderators:": ("email",)}
        template = "{{ author }}{% if email is defined %} ({{ email }}){% endif %}"

    data = {"author": "Ann", "email": "a@b"}
    seen = run(Redacted, Event("a", ("thread:1", "moderators:1"), data))
    assert seen["thread:1"]["html"] == "Ann"
    assert seen["moderators:1"]["html"] == "Ann (a@b)"
