"""`manage.py measure_relay`, which `make bench` runs, moves what it says in each way."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from example_site.threads.models import Comment, Thread
from stack.platform import Platform
from stack.process import free_port
from stack.redis_server import RedisServer

pytestmark = pytest.mark.real_redis


def test_it_moves_the_same_rows_in_each_way(
    site_database: str,
    settings: Settings,
    push_settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    server = RedisServer(Platform.find(), tmp_path / "redis", free_port())
    server.start()
    try:
        settings.PUSHGATE = {**push_settings, "REDIS_URL": server.url}
        out = StringIO()
        call_command("measure_relay", rows=300, rounds=2, database=site_database, stdout=out)
    finally:
        server.stop()
    found = json.loads(out.getvalue())
    assert found["rows"] == 600
    assert found["spent"].keys() == {"plain", "streamed", "relay"}
    for spent in found["spent"].values():
        assert spent["seconds"] > 0


def test_it_touches_no_outbox_that_holds_something(
    site_database: str, push_settings: dict[str, Any]
):
    thread = Thread.objects.create(title="A thread")
    Comment.objects.create(thread=thread, author="Ada", text="mine")
    with pytest.raises(CommandError, match="not empty"):
        call_command("measure_relay", database=site_database)
