"""The control panel, by HTTP: who sees it, who may act, what an act does and says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from pytest_django import Settings

from django_hooks import connections
from pushgate import Control, Event, Keys, RedisJobQueue, RedisLog, connect
from pushgate.job_queue import FROM_THE_START, partition_of
from stack.process import free_port

pytestmark = [pytest.mark.real_redis, pytest.mark.django_db]

PANEL = "/admin/django_hooks/controlpanel/"
DEAD = f"{PANEL}dead-letters/"
PARTITIONS = 4
ACTS = [
    (f"{PANEL}partitions/2/pause/", {}),
    (f"{PANEL}partitions/2/resume/", {}),
    (f"{PANEL}publish/", {"channel": "thread:1", "text": "hello"}),
    (f"{DEAD}act/", {"do": "retry_all"}),
    (f"{DEAD}act/", {"do": "retry", "letter": "1-1"}),
    (f"{DEAD}act/", {"do": "discard", "letter": "1-1", "sure": "yes"}),
]


@pytest.fixture
def client_of_redis(push_settings: dict[str, Any]) -> Iterator[redis.Redis]:
    with connect(push_settings["REDIS_URL"]) as client:
        yield client


@pytest.fixture
def keys(push_settings: dict[str, Any]) -> Keys:
    return Keys(push_settings["NAMESPACE"])


@pytest.fixture
def control(client_of_redis: redis.Redis, keys: Keys) -> Control:
    return Control(client_of_redis, keys, PARTITIONS)


@pytest.fixture
def queue(client_of_redis: redis.Redis, keys: Keys) -> RedisJobQueue:
    return RedisJobQueue(client_of_redis, keys, PARTITIONS)


def signed_in(*groups: str, **more: Any) -> Client:
    """A browser of a member of the staff who is in these groups."""
    user = User.objects.create_user("ada", is_staff=True, **more)
    user.groups.set(Group.objects.filter(name__in=groups))
    assert user.groups.count() == len(groups)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def groups(db: None) -> None:
    """What the migration made. Who had transactions of its own before has emptied the tables."""
    migration = import_module("django_hooks.migrations.0003_control_panel")
    migration.create_groups(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def viewer() -> Client:
    return signed_in("Pushgate viewers")


@pytest.fixture
def operator() -> Client:
    return signed_in("Pushgate operators")


def comment(number: int = 1, text: str = "Hello") -> Event:
    name = f"threads.comment:{number}"
    return Event("comment.created", ("thread:1",), {"id": number, "text": text}, object=name)


def bury(queue: RedisJobQueue, *events: Event, reason: str = "KeyError: 'thread'") -> list[str]:
    """Makes dead letters; returns their ids, the newest first."""
    for event in events:
        queue.put(event)
        lease = queue.leases.acquire(str(partition_of(event.key, PARTITIONS)), "worker-1")
        assert lease is not None
        (job,) = queue.claim(lease, FROM_THE_START, 1)
        assert queue.bury(lease, job.entry_id, reason)
        queue.leases.release(lease)
    return [letter.entry_id for letter in connections.control().dead_letters()]


def said(answer: Any) -> str:
    """The messages an answer's redirect will show."""
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_nobody_sees_the_panel_without_a_login(push_settings: dict[str, Any]) -> None:
    for address in (PANEL, DEAD, f"{PANEL}figures/"):
        answer = Client().get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_staff_without_permission_is_refused_and_finds_no_link(
    push_settings: dict[str, Any],
) -> None:
    client = signed_in()
    for address in (PANEL, DEAD, f"{PANEL}figures/", f"{DEAD}newer/", f"{PANEL}x/change/"):
        assert client.get(address).status_code == 403
    assert PANEL not in client.get("/admin/").content.decode()


def test_a_viewer_sees_everything_and_no_buttons(viewer: Client, queue: RedisJobQueue) -> None:
    bury(queue, comment())
    assert PANEL in viewer.get("/admin/").content.decode()
    for address in (PANEL, DEAD, f"{PANEL}figures/"):
        answer = viewer.get(address)
        assert answer.status_code == 200
        content = answer.content.decode()
        assert "KeyError" in content
        assert "Pause" not in content
        assert "Retry" not in content
        assert 'class="button"' not in content


@pytest.mark.parametrize(("address", "fields"), ACTS)
def test_a_viewer_cannot_act(
    viewer: Client, queue: RedisJobQueue, control: Control, address: str, fields: dict[str, str]
) -> None:
    bury(queue, comment())
    before = control.ledger()
    assert viewer.post(address, fields).status_code == 403
    assert control.ledger() == before
    assert not any(state.paused for state in control.partitions())
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("address", "fields"), ACTS)
def test_an_act_needs_a_post_with_a_csrf_token(
    operator: Client, control: Control, address: str, fields: dict[str, str]
) -> None:
    assert operator.get(address, fields).status_code == 405
    operator.handler.enforce_csrf_checks = True
    assert operator.post(address, fields).status_code == 403
    assert control.ledger().accepted == 0
    assert not any(state.paused for state in control.partitions())


def test_an_operator_pauses_and_resumes(operator: Client, control: Control) -> None:
    answer = operator.post(f"{PANEL}partitions/2/pause/")
    assert answer.status_code == 302
    assert "Partition 2 is paused" in said(answer)
    assert [state.paused for state in control.partitions()] == [False, False, True, False]
    page = operator.get(PANEL).content.decode()
    assert "Resume partition 2" in page
    assert "Partition 2 is paused" in page
    assert "Partition 2 is resumed" in said(operator.post(f"{PANEL}partitions/2/resume/"))
    assert not any(state.paused for state in control.partitions())
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["partition 2"] * 2
    index = operator.get("/admin/").content.decode()
    assert f'{PANEL}partition%202/change/"' in index or f"{PANEL}partition_202/change/" in index
    assert operator.get(f"{PANEL}partition_202/change/")["Location"] == PANEL


def test_a_partition_that_is_not_there_cannot_be_paused(
    operator: Client, push_settings: dict[str, Any]
) -> None:
    assert "use 0 to 3" in said(operator.post(f"{PANEL}partitions/4/pause/"))
    assert not LogEntry.objects.exists()


def test_a_test_event_goes_onto_the_queue(operator: Client, control: Control) -> None:
    answer = operator.post(f"{PANEL}publish/", {"channel": "thread:1", "text": "hello"})
    assert "is on the queue" in said(answer)
    assert control.ledger().queued == 1
    assert sum(state.jobs for state in control.partitions()) == 1


@pytest.mark.parametrize("channel", ["", "Thread 1", "a/b"])
def test_a_test_event_for_no_channel_is_refused_in_a_sentence(
    operator: Client, control: Control, channel: str
) -> None:
    answer = operator.post(f"{PANEL}publish/", {"channel": channel})
    assert "No event was published: channel" in said(answer)
    assert control.ledger().accepted == 0


def test_an_act_has_every_open_panel_look_again_and_tells_it_nothing_more(
    operator: Client, client_of_redis: redis.Redis, keys: Keys
) -> None:
    operator.post(f"{PANEL}partitions/2/pause/")
    (entry,) = RedisLog(client_of_redis, keys).after("0-0", 10)
    assert entry.channels == ("pushgate:panel",)
    assert entry.frame.startswith(b"event: pushgate.look\ndata: ")
    told = json.loads(entry.frame.partition(b"data: ")[2])
    assert told.keys() == {"event_id", "object", "version", "at", "channels"}


def test_dead_letters_are_shown_with_error_and_data_escaped(
    viewer: Client, queue: RedisJobQueue
) -> None:
    bury(queue, comment(7, "<script>alert(1)</script>"), reason="TypeError: <b>no</b>")
    content = viewer.get(DEAD).content.decode()
    assert "threads.comment:7" in content
    assert "TypeError: &lt;b&gt;no&lt;/b&gt;" in content
    assert "{\n  &quot;id&quot;: 7,\n  &quot;text&quot;: &quot;&lt;script&gt;" in content
    assert "<script>alert" not in content


def test_what_is_no_event_is_shown_as_it_was_found(
    viewer: Client, client_of_redis: redis.Redis, keys: Keys
) -> None:
    fields = {
        "partition": 1,
        "entry": "1-1",
        "attempts": 1,
        "reason": "malformed",
        "event": b"\xff<",
    }
    client_of_redis.xadd(keys.dead, fields)  # type: ignore[arg-type]
    content = viewer.get(DEAD).content.decode()
    assert "Not an event" in content
    assert "\ufffd&lt;" in content
    assert viewer.get(PANEL).status_code == 200


def test_dead_letters_are_retried_in_bulk(
    operator: Client, queue: RedisJobQueue, control: Control
) -> None:
    newest, middle, oldest = bury(queue, comment(1), comment(2), comment(3))
    answer = operator.post(f"{DEAD}act/", {"do": "retry", "letter": [newest, oldest, "9-9", "x"]})
    assert answer["Location"] == DEAD
    assert "2 dead letters were put back to the end of the queue. 1 had gone before." in said(
        answer
    )
    assert [letter.entry_id for letter in control.dead_letters()] == [middle]
    assert (control.ledger().queued, control.ledger().dead) == (2, 1)
    assert "1 dead letter was put back" in said(operator.post(f"{DEAD}act/", {"do": "retry_all"}))
    assert control.count_dead_letters() == 0
    assert control.ledger().balances


def test_a_discard_asks_first_and_is_for_good(
    operator: Client, queue: RedisJobQueue, control: Control
) -> None:
    letters = bury(queue, comment(1), comment(2))
    asked = operator.post(f"{DEAD}act/", {"do": "discard", "letter": letters})
    assert asked.status_code == 200
    assert "2 dead letters will be deleted for good" in asked.content.decode()
    assert control.count_dead_letters() == 2
    sure = {"do": "discard", "letter": letters, "sure": "yes"}
    assert "2 dead letters were discarded" in said(operator.post(f"{DEAD}act/", sure))
    assert control.count_dead_letters() == 0
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["dead letters"]


@pytest.mark.parametrize("fields", [{}, {"do": "retry"}, {"do": "discard"}, {"do": "what"}])
def test_an_act_on_nothing_says_so(operator: Client, fields: dict[str, str]) -> None:
    assert "Nothing was done" in said(operator.post(f"{DEAD}act/", fields))
    assert not LogEntry.objects.exists()


def test_dead_letters_come_a_page_at_a_time(
    viewer: Client, queue: RedisJobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_hooks.admin.LETTERS_ON_A_PAGE", 2)
    letters = bury(queue, comment(1), comment(2), comment(3))
    first = viewer.get(DEAD).content.decode()
    assert "threads.comment:3" in first
    assert "threads.comment:1" not in first
    assert f"?before={letters[1]}" in first
    second = viewer.get(f"{DEAD}?before={letters[1]}").content.decode()
    assert "threads.comment:1" in second
    assert "threads.comment:2" not in second
    assert viewer.get(f"{DEAD}?before=nonsense").status_code == 200


def test_an_open_list_is_told_of_newer_letters(viewer: Client, queue: RedisJobQueue) -> None:
    newest, older = bury(queue, comment(1), comment(2))
    assert "1 newer dead letter:" in viewer.get(f"{DEAD}newer/?newest={older}").content.decode()
    assert viewer.get(f"{DEAD}newer/?newest={newest}").content.decode().strip() == ""


def test_what_is_wrong_stands_at_the_top(
    viewer: Client, client_of_redis: redis.Redis, keys: Keys
) -> None:
    client_of_redis.hset(keys.ledger, "put", 5)
    content = viewer.get(f"{PANEL}figures/").content.decode()
    assert "No formatter runs" in content
    assert "No relay leads" in content
    assert "The ledger does not balance: +5 events" in content


def test_without_redis_the_panel_says_so_in_one_sentence(
    operator: Client, settings: Settings
) -> None:
    settings.PUSHGATE = {"REDIS_URL": f"redis://:geheim@127.0.0.1:{free_port()}/0"}
    for address in (PANEL, DEAD, f"{PANEL}figures/", f"{DEAD}newer/"):
        answer = operator.get(address)
        assert answer.status_code == 200
        assert "Redis cannot be reached (ConnectionError)." in answer.content.decode()
        assert "geheim" not in answer.content.decode()
    for address, fields in ACTS:
        answer = operator.post(address, fields)
        assert answer.status_code == 302
        assert "Redis cannot be reached (ConnectionError)." in said(answer)
    assert not LogEntry.objects.exists()


def test_a_site_with_an_admin_of_its_own_registers_the_panel(
    operator: Client, push_settings: dict[str, Any], settings: Settings
) -> None:
    settings.ROOT_URLCONF = "tests.integration.own_admin"
    content = operator.get("/staff/django_hooks/controlpanel/").content.decode()
    assert "Staff only" in content
    assert 'href="/staff/"' in content
    assert '="/admin/' not in content
    assert 'data-url="/staff/django_hooks/controlpanel/figures/"' in content


def test_each_permission_has_a_group(site_database: str) -> None:
    found = {
        group.name: set(group.permissions.values_list("codename", flat=True))
        for group in Group.objects.using(site_database).all()
    }
    assert found == {
        "Pushgate viewers": {"view_controlpanel"},
        "Pushgate operators": {"view_controlpanel", "operate_controlpanel"},
    }
