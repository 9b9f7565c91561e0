"""What the HTTP enrichment refuses at start. What it does is tried against a server:
tests/integration/test_enrich_http.py."""

from __future__ import annotations

from typing import Any

import pytest

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.json_api import ApiLimits
from formatter.mixins import EnrichByHttpMixin
from pushgate import Event


class Comment(EnrichByHttpMixin, Pipeline):
    enrich_url = "http://api.internal/users/{author_id}?full={full}"
    enrich_target = "author"
    enrich_fields: Any = ("name",)


def test_nothing_is_connected_and_an_event_without_the_names_passes() -> None:
    event = Event("comment.deleted", ("thread:1",), {"author_id": 7, "full": None})
    assert Comment().enrich(event) is event


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"enrich_url": ""}, "Wrong: EnrichByHttpMixin needs enrich_url = "),
        ({"enrich_target": ""}, "Wrong: EnrichByHttpMixin needs enrich_target = "),
        ({"enrich_fields": ()}, "Wrong: EnrichByHttpMixin needs enrich_fields = "),
        ({"enrich_fields": "name"}, "Wrong.enrich_fields = 'name': use a tuple"),
        ({"enrich_target": "version"}, "Wrong.enrich_target = 'version': use a name"),
        ({"enrich_url": "/users/{id}"}, "use http://host/path"),
        ({"enrich_url": "ftp://api/users/{id}"}, "use http://host/path"),
        ({"enrich_url": "http://api:port/users/{id}"}, "use http://host/path"),
        ({"enrich_url": "http://api"}, "use http://host/path"),
        ({"enrich_url": "http://api/users#{id}"}, "use http://host/path"),
        ({"enrich_url": "http://{host}/users/"}, "name the host itself"),
        ({"enrich_url": "http://me:secret@api/users/{id}"}, "name the host itself"),
        ({"enrich_url": "http://api/users/{id.real}"}, "put names of the event's data in braces"),
        ({"enrich_url": "http://api/users/{id!r}"}, "put names of the event's data in braces"),
        ({"enrich_url": "http://api/users/{id[0]}"}, "put names of the event's data in braces"),
        ({"enrich_limits": None}, r"Wrong.enrich_limits = None: use ApiLimits\(seconds=2\)"),
        ({"enrich_limits": ApiLimits(seconds=25)}, "25 s for a question and 10.0 s of waiting"),
        ({"enrich_token_variable": "NO_SUCH"}, "the environment's NO_SUCH holds no token"),
    ],
)
def test_a_wrong_attribute_is_told_at_start(attributes: dict[str, Any], sentence: str) -> None:
    wrong = type("Wrong", (Comment,), attributes)
    with pytest.raises(InvalidPipelines, match=sentence):
        wrong()


@pytest.mark.parametrize("token", ["two\nlines", "ünsafe", " "])
def test_a_token_that_no_header_can_carry_is_told_at_start(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", token)
    wrong = type("Wrong", (Comment,), {"enrich_token_variable": "API_TOKEN"})
    with pytest.raises(InvalidPipelines, match="holds no token"):
        wrong()


@pytest.mark.parametrize(
    ("name", "value"),
    [("seconds", 0), ("seconds", "5"), ("answer_bytes", 0.5), ("wait_seconds", -1)],
)
def test_a_wrong_limit_is_told_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidPipelines, match=f"ApiLimits: {name} {value!r}"):
        ApiLimits(**{name: value})


def test_what_may_be_passed_by_has_no_time_to_wait() -> None:
    class Optional(Comment):
        enrich_required = False
        enrich_limits = ApiLimits(seconds=25)

    Optional()
