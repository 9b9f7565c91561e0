"""The list of publishers of a module, and what is said of a wrong one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from formatter.errors import InvalidPublishers
from formatter.publishers import Publisher, Webhook, WebSub, load_publishers

SECRET = {"SECRET": "whsec_" + "A" * 43 + "="}


def hook(name: str = "hook", **options: Any) -> Webhook:
    settings = {"secret_variable": "SECRET", "channels": ["thread:*"]}
    return Webhook(name, "https://example.org/", **{**settings, **options})


@pytest.fixture
def module_with() -> Iterator[Callable[[object], str]]:
    name = "a_sites_pipelines"

    def make(publishers: object) -> str:
        module = ModuleType(name)
        vars(module)["publishers"] = publishers
        sys.modules[name] = module
        return name

    yield make
    sys.modules.pop(name, None)


def test_publishers_are_loaded_with_their_secrets(module_with: Callable[[object], str]) -> None:
    feeds = WebSub(
        "feeds",
        "https://hub.example.org/",
        topic="https://example.org/{channel}",
        channels=["*"],
    )
    both = [hook(), feeds]
    assert load_publishers(module_with(both), SECRET) == tuple(both)


def test_a_module_may_have_none() -> None:
    assert load_publishers("tests.integration.formatter_pipelines", {}) == ()


@pytest.mark.parametrize(
    ("publishers", "wrong"),
    [
        ({"hook": hook()}, "use a list"),
        ([Webhook], r"Webhook is a class: put Webhook\(...\)"),
        (["hook"], "another subclass"),
        ([hook(), hook()], "two publishers are named 'hook'"),
        ([hook(secret_variable="OTHER")], "variable OTHER is missing"),
    ],
)
def test_what_cannot_be_started_is_said_in_one_sentence(
    module_with: Callable[[object], str], publishers: object, wrong: str
) -> None:
    with pytest.raises(InvalidPublishers, match=wrong):
        load_publishers(module_with(publishers), SECRET)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"name": "Hook"}, "a name is"),
        ({"name": ""}, "a name is"),
        ({"channels": []}, "channels is empty"),
        ({"channels": "thread:*"}, "give a list"),
        ({"channels": ["thread 1"]}, "hook.*thread 1"),
        ({"types": [""]}, "give a list"),
        ({"batch": 0}, "batch 0: use 1 to 1000"),
        ({"concurrency": 65}, "use 1 to 64"),
        ({"give_up_seconds": -1}, "give_up_seconds"),
        ({"secret_variable": "whsec_AAAA="}, "environment variable"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidPublishers, match=wrong):
        hook(**options)


def test_a_topic_that_is_no_address_is_named() -> None:
    with pytest.raises(InvalidPublishers, match="topic"):
        WebSub("feeds", "https://hub.example.org/", topic="/feeds/{id}", channels=["thread:*"])


def test_everything_is_said_with_a_star() -> None:
    publisher = Publisher("all", channels=["*"])
    assert publisher.wanted(("user:1", "thread:2")) == ("user:1", "thread:2")
    assert Publisher("some", channels=["thread:*", "forum:1"]).wanted(
        ("user:1", "thread:2", "forum:1", "forum:10")
    ) == ("thread:2", "forum:1")
