"""What `manage.py check` says of a site."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, models
from pytest_django import Settings

from django_hooks import checks
from django_hooks.registry import Action, ModelHook, registry
from example_site.threads.models import Comment
from example_site.threads.push import CommentHook
from tests.archive.models import Book, Loan, Paperback, Person, Ticket

README = Path(checks.__file__).parent / "README.md"


class WholeHook(ModelHook[models.Model]):
    """Lacks nothing."""

    def channels(self, instance: models.Model, action: Action) -> list[str]:
        return ["archive"]

    def data(self, instance: models.Model, action: Action) -> dict[str, Any]:
        return {}


@contextmanager
def registered(model: type[models.Model], hook: type[ModelHook[Any]]) -> Iterator[None]:
    registry.register(model, hook)
    try:
        yield
    finally:
        registry.unregister(model)


def said_of(model: type[models.Model], hook: type[ModelHook[Any]] = WholeHook) -> list[str]:
    """The ids of what the checks say once the hook is registered."""
    with registered(model, hook):
        found = [*checks.check_hooks(), *checks.check_managers(), *checks.check_databases()]
    assert all(message.hint for message in found)
    return [str(message.id).removeprefix("django_hooks.") for message in found]


def test_the_example_site_has_nothing_to_hear():
    out = io.StringIO()
    call_command("check", stdout=out, stderr=out)
    assert "no issues" in out.getvalue()


def test_the_checks_are_run_by_their_tag(settings: Settings):
    settings.PUSHGATE = {"MODE": "maybe"}
    out = io.StringIO()
    with pytest.raises(BaseException, match=r"django_hooks\.E001") as refused:
        call_command("check", "--tag", "django_hooks", stdout=out, stderr=out)
    assert "use outbox or on_commit" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"REDIS": "redis://"}, "'REDIS'"),
        ({"MODE": "maybe"}, "use outbox or on_commit"),
        ({"PARTITIONS": "8"}, "PUSHGATE['PARTITIONS'] is '8': use a whole number"),
        ({"PARTITIONS": 0}, "use 1 to 1024"),
        ({"PARTITIONS": True}, "use a whole number"),
        ({"RETENTION_SECONDS": -1}, "use 0 or more"),
        ({"GATEWAY_URL": None}, "use text"),
        ({"RECEIPTS": 1.5}, "use a share from 0 to 1"),
        ({"RECEIPTS": float("nan")}, "use a share from 0 to 1"),
        ({"RECEIPTS": "0.01"}, "use a number"),
        ({"RECEIPTS": True}, "use a number"),
        ("redis://", "use a dict"),
    ],
)
def test_a_wrong_setting_is_an_error(settings: Settings, value: Any, sentence: str):
    settings.PUSHGATE = value
    (found,) = checks.check_settings()
    assert found.id == "django_hooks.E001"
    assert sentence in found.msg
    assert checks.check_databases() == checks.check_tables(databases=["default"]) == []


def test_an_address_that_is_not_redis_is_an_error(settings: Settings):
    settings.PUSHGATE = {"REDIS_URL": "http://127.0.0.1/"}
    (found,) = checks.check_settings()
    assert found.id == "django_hooks.E002"
    assert found.msg.startswith('PUSHGATE["REDIS_URL"]')


def test_a_missing_setting_is_a_warning(settings: Settings):
    del settings.PUSHGATE
    assert [found.id for found in checks.check_settings()] == ["django_hooks.W001"]


def test_a_site_without_hooks_is_warned():
    registry.unregister(Comment)
    try:
        assert [found.id for found in checks.check_hooks()] == ["django_hooks.W002"]
    finally:
        registry.register(Comment, CommentHook)


def test_a_hook_that_is_not_finished_is_an_error():
    class Empty(ModelHook[models.Model]):
        """Says nothing."""

    assert said_of(Book, Empty) == ["E003", "E003", "W004"]


@pytest.mark.parametrize(
    "action", ["changed", "tags", "tags.", "tag.added", "title.added", "book_set.added"]
)
def test_an_action_that_never_happens_is_an_error(action: str):
    hook = type("Hook", (WholeHook,), {"actions": ("created", action)})
    assert said_of(Book, hook) == ["E004", "W004"]


def test_relations_may_be_named_at_either_end():
    names = ("friends.added", "follows.removed", "followers.added", "lent.removed")
    assert said_of(Person, type("Hook", (WholeHook,), {"actions": names})) == ["W004"]


@pytest.mark.parametrize("name", ["colour", "tags", "chapters"])
def test_watching_what_is_no_column_is_an_error(name: str):
    hook = type("Hook", (WholeHook,), {"watched_fields": ("title", "author", "author_id", name)})
    assert said_of(Book, hook) == ["E005", "W004"]


def test_each_manager_that_tells_nothing_is_named():
    with registered(Book, WholeHook):
        (found,) = checks.check_managers()
    assert found.msg.startswith("archive.Book.plain: bulk_create()")
    assert found.obj is Book
    assert said_of(Ticket) == []


def test_a_base_manager_that_tells_nothing_matters_where_there_are_foreign_keys():
    assert said_of(Loan) == ["W004", "W005"]
    assert said_of(Person) == ["W004"]


def test_a_proxy_alone_is_a_warning():
    assert "W003" in said_of(Paperback)
    with registered(Book, WholeHook):
        assert "W003" not in said_of(Paperback)


def test_a_database_whose_outbox_nobody_can_read_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(type(connections["default"]), "vendor", "mysql")
    (found,) = checks.check_databases()
    assert found.id == "django_hooks.E006"
    assert "threads.Comment" in found.msg
    settings.PUSHGATE = {"MODE": "on_commit"}
    assert checks.check_databases() == []


class NoOutboxRouter:
    """Keeps the outbox out of every database."""

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        """Not this one."""
        return False if app_label == "django_hooks" else None


def test_routers_that_keep_the_outbox_out_are_an_error(settings: Settings):
    settings.DATABASE_ROUTERS = [NoOutboxRouter()]
    assert [found.id for found in checks.check_databases()] == ["django_hooks.E007"]


@pytest.mark.django_db
def test_a_migrated_database_without_its_outbox_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    assert checks.check_tables(databases=["default"]) == []
    monkeypatch.setattr(connection.introspection, "table_names", lambda: ["django_migrations"])
    assert [found.id for found in checks.check_tables(databases=["default"])] == [
        "django_hooks.W006"
    ]
    assert checks.check_tables(databases=None) == []
    monkeypatch.setattr(connection.introspection, "table_names", list)
    assert checks.check_tables(databases=["default"]) == []


def test_every_id_is_in_the_table():
    code = "".join(path.read_text() for path in README.parent.rglob("*.py"))
    used = set(re.findall(r'id="(django_hooks\.[EW]\d{3})"', code))
    listed = set(re.findall(r"^\| `(django_hooks\.[EW]\d{3})`", README.read_text(), re.MULTILINE))
    assert used == listed
