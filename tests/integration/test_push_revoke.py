"""push_revoke, and the same from the site's code, on a real Redis."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from django_hooks import tokens
from pushgate import InvalidChannel, Keys, connect
from pushgate.revocation import RedisRevocations, Revocations, may_open
from stack.process import free_port

pytestmark = pytest.mark.real_redis


@pytest.fixture
def revocations(push_settings: dict[str, Any]) -> Iterator[Revocations]:
    with connect(push_settings["REDIS_URL"]) as client:
        yield RedisRevocations(client, Keys(push_settings["NAMESPACE"]))


def said(*words: str) -> str:
    output = io.StringIO()
    call_command("push_revoke", *words, stdout=output)
    return output.getvalue()


def test_a_users_tokens_are_revoked(revocations: Revocations) -> None:
    now = time.time()
    assert "for user 7 are void" in said("--user", "7")
    assert not may_open(revocations.all(), "7", "thread:1", now)
    assert may_open(revocations.all(), "8", "thread:1", now)
    tokens.revoke_user(User(pk=8))
    assert not may_open(revocations.all(), "8", "thread:1", now)


def test_a_channel_is_revoked(revocations: Revocations) -> None:
    now = time.time()
    assert "opens thread:* any more" in said("--channel", "thread:*")
    assert not may_open(revocations.all(), "7", "thread:1", now)
    tokens.revoke_channel("forum:1")
    assert not may_open(revocations.all(), "7", "forum:1", now)
    assert may_open(revocations.all(), "7", "forum:2", now)


@pytest.mark.parametrize(
    "words",
    [(), ("--user", "7", "--channel", "a"), ("--channel", "A b"), ("--user", "")],
    ids=str,
)
def test_what_is_not_to_be_understood_is_refused(
    revocations: Revocations, words: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError):
        said(*words)
    with pytest.raises(InvalidChannel):
        tokens.revoke_channel("A b")
    assert revocations.all() == []


def test_without_redis_it_says_so(settings: Settings) -> None:
    settings.PUSHGATE = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with pytest.raises(CommandError, match="Redis cannot be reached"):
        said("--user", "7")
