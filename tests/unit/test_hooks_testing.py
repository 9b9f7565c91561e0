"""What a site's own tests have to assert their events with."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.test import TestCase, TransactionTestCase
from pytest_django import Settings

from django_hooks import wake
from django_hooks.models import OutboxRow
from django_hooks.settings import hooks_settings
from django_hooks.testing import CapturedEvents, captured_events
from example_site.threads.models import Comment, Thread

pytest_plugins = ["django_hooks.pytest_plugin"]

ROOT = Path(__file__).resolve().parent.parent.parent


def comment(thread: Thread, text: str) -> Comment:
    return Comment.objects.create(thread=thread, author="Ada", text=text)


class InATestCase(TestCase):
    """A test within one transaction that never commits."""

    def setUp(self) -> None:
        self.thread = Thread.objects.create(title="A thread")

    def test_events_are_there_as_soon_as_they_are_recorded(self):
        comment(self.thread, "before")
        with captured_events() as events:
            self.assertEqual(list(events), [])
            first = comment(self.thread, "first")
            self.assertEqual(events.types, ["comment.created"])
            first.delete()
        comment(self.thread, "after")
        self.assertEqual(events.types, ["comment.created", "comment.deleted"])
        self.assertEqual(events[0].channels, (f"thread:{self.thread.pk}",))
        self.assertEqual(events[-1].data["text"], "first")
        self.assertEqual([event.type for event in events[:1]], ["comment.created"])

    def test_what_is_rolled_back_is_not_there(self):
        with captured_events() as events:
            with self.assertRaises(IntegrityError), transaction.atomic():
                comment(self.thread, "undone")
                raise IntegrityError
            comment(self.thread, "kept")
            with transaction.atomic():
                comment(self.thread, "undone at last")
                self.assertEqual(len(events), 2)
                transaction.set_rollback(True)
        self.assertEqual([event.data["text"] for event in events], ["kept"])

    def test_what_happens_at_a_commit_is_there_once_the_test_has_it_happen(self):
        with captured_events() as events:
            with self.captureOnCommitCallbacks(execute=True):
                transaction.on_commit(lambda: comment(self.thread, "after the commit"))
                self.assertEqual(len(events), 0)
            self.assertEqual(len(events), 1)

    def test_events_are_found_by_type_and_channel(self):
        other = Thread.objects.create(title="Another")
        with captured_events() as events:
            comment(self.thread, "here").save()
            comment(other, "there")
        self.assertEqual(len(events.of("comment.created")), 2)
        self.assertEqual(len(events.of("comment.updated")), 1)
        self.assertEqual([e.data["text"] for e in events.on(f"thread:{other.pk}")], ["there"])
        self.assertIn("comment.updated of threads.comment:", repr(events))

    def test_the_events_so_far_can_be_forgotten(self):
        with captured_events() as events:
            comment(self.thread, "one")
            events.clear()
            comment(self.thread, "two")
        self.assertEqual([event.data["text"] for event in events], ["two"])


class InATransactionTestCase(TransactionTestCase):
    """A test whose transactions commit."""

    def test_events_are_there_and_nobody_is_woken(self):
        nudge = wake.nudge
        with captured_events() as events:
            thread = Thread.objects.create(title="A thread")
            comment(thread, "one")
            with self.assertRaises(RuntimeError), transaction.atomic():
                comment(thread, "undone")
                raise RuntimeError
            self.assertIsNot(wake.nudge, nudge)
        self.assertEqual([event.data["text"] for event in events], ["one"])
        self.assertIs(wake.nudge, nudge)


@pytest.mark.django_db
def test_a_broken_transaction_leaves_no_event():
    thread = Thread.objects.create(title="A thread")
    with transaction.atomic():
        with captured_events() as events:
            comment(thread, "undone")
            transaction.set_rollback(True)
        assert list(events) == []


@pytest.mark.django_db(transaction=True)
def test_events_of_the_mode_on_commit_are_seen_before_any_commit(settings: Settings):
    settings.PUSHGATE = {"MODE": "on_commit", "NAMESPACE": "mine"}
    thread = Thread.objects.create(title="A thread")
    with captured_events() as events, transaction.atomic():
        assert hooks_settings().namespace == "mine"
        comment(thread, "one")
        assert events.types == ["comment.created"]
    assert hooks_settings().mode == "on_commit"


def test_the_fixture_has_the_whole_tests_events(pushgate_events: CapturedEvents):
    comment(Thread.objects.create(title="A thread"), "one")
    assert pushgate_events.types == ["comment.created"]
    transaction.set_rollback(True)


@pytest.mark.usefixtures("db", "pushgate_hooks_disabled")
def test_the_other_fixture_turns_hooks_off():
    comment(Thread.objects.create(title="A thread"), "one")
    assert not OutboxRow.objects.exists()


def test_pytest_finds_the_fixtures_where_pushgate_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"pushgate": "django_hooks.pytest_plugin"}


def test_the_plugin_needs_no_settings_and_the_site_needs_no_pytest():
    script = (
        "import sys\n"
        "import django_hooks.pytest_plugin\n"
        "assert 'django' not in sys.modules\n"
        "sys.modules['pytest'] = None\n"
        "import django; django.setup()\n"
        "import django_hooks.testing, django_hooks.checks, django_hooks.querysets\n"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "example_site.settings", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True)
