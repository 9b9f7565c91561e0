"""Each benchmark of `make bench` runs, with as few jobs as it can do with; no figure is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from loadtest.bench import (
    comment_pipeline,
    enrichment,
    heavy_stage,
    other_queues,
    queue_worker,
    worker_memory,
)
from loadtest.bench.event_rows import plain_events
from loadtest.bench.gateway import fan_out, frame_time, idle_subscribers, resumption
from loadtest.bench.gateway.audience import Audience
from loadtest.bench.gateway.own_gateway import own_gateway
from loadtest.bench.own_queue import OwnQueue, own_queue
from loadtest.errors import LoadTestError
from pushgate import RedisLog

pytestmark = [pytest.mark.real_redis, pytest.mark.long]


@pytest.fixture
def queue() -> Iterator[OwnQueue]:
    with own_queue() as queue:
        yield queue


def test_the_bare_loops_do_what_the_formatter_does(queue: OwnQueue):
    found = {}
    for way, start in queue_worker.WAYS.items():
        spent = queue.work_off(plain_events(250, keys=20), partial(start, queue))
        assert spent.jobs == 250
        assert queue.ledger().balances
        channel = queue.keys.channel("thread:7")
        found[way] = (
            sorted(entry.channels for entry in frames(queue)),
            queue.client.xlen(channel),
            queue.client.ttl(channel) > 0,
            queue.client.hlen(queue.keys.claimed),
        )
    assert len(set(map(repr, found.values()))) == 1, found


def test_the_worker_is_measured_beside_bare_loops():
    table = queue_worker.queue_worker(loads=[(200, 10)], rounds=1)
    assert len(table.rows) == len(queue_worker.WAYS)


def test_the_comment_pipeline_renders_and_redacts(queue: OwnQueue):
    events = comment_pipeline.comments_of(20, "comment.created")
    queue.work_off(events, queue.formatter)
    found = {entry.channels[0]: entry.frame for entry in frames(queue)}
    assert len(found) == 40
    assert b'"html":"<p>' in found["thread:3"]
    assert b'"permalink":"/threads/3/#comment-3"' in found["thread:3"]
    assert b"ada@example.com" in found["moderators:3"]
    assert b"ada@example.com" not in found["thread:3"]


def test_the_comment_pipeline_is_measured_in_one_and_two_processes():
    table = comment_pipeline.comment_pipeline(events=400, scaling_events=1_000, rounds=1)
    assert len(table.rows) == 5


def test_other_queues_are_measured_in_the_same_run():
    peers = [
        replace(peer, first=10, jobs=50)
        for peer in other_queues.PEERS
        if peer.name in ("Celery, solo", "dramatiq, 1 thread", "RQ, SimpleWorker")
    ]
    table = other_queues.other_queues(own_jobs=200, peers=peers)
    assert [row[0] for row in table.rows] == [
        other_queues.PUBLISHED,
        other_queues.DROPPED,
        *(peer.name for peer in peers),
    ]


def test_heavy_stages_are_measured_beside_other_keys():
    table = heavy_stage.heavy_stage(seconds=0.4, rounds=1)
    assert [row[0] for row in table.rows] == list(heavy_stage.WAYS)


def test_each_event_is_enriched_by_an_answer_of_its_own(queue: OwnQueue):
    spent = enrichment.enriched(queue, 20)
    assert spent.jobs == 20
    assert [b'"author":{"name":"Ada"' in entry.frame for entry in frames(queue)] == [True] * 20


def test_memory_is_measured_while_jobs_wait_and_while_they_are_worked_off():
    table = worker_memory.worker_memory(queued=(20, 300))
    assert [row[0] for row in table.rows] == ["20", "300", "300 by 20"]


def test_a_worker_that_ends_is_no_figure(queue: OwnQueue):
    with pytest.raises(LoadTestError, match="(?i)no module named"):
        queue.work_off(
            plain_events(10, keys=1),
            lambda: queue.process("broken", ("/usr/bin/env", "python3", "-m", "no_such_module")),
        )


@pytest.mark.real_gateway
def test_fan_out_is_measured_beside_a_bare_loop_and_the_module_alone():
    table = fan_out.fan_out(subscribers=20, frames=20, rounds=1)
    assert [row[0] for row in table.rows] == list(fan_out.WAYS)


@pytest.mark.real_gateway
def test_idle_subscribers_are_connected_and_left_alone():
    idle = idle_subscribers.watch(subscribers=40, seconds=0.1, workers=2)
    assert sum(idle.of_workers) == 40
    assert idle.drops == 0
    assert min(idle.bytes_before, idle.bytes_after) > 1e6


@pytest.mark.real_gateway
def test_frames_are_timed_at_the_socket_and_at_the_reader():
    times = frame_time.time_frames(subscribers=20, frames=3, every_seconds=0.01)
    assert times.arrived.count == times.read.count == 60
    assert times.wrong == 0
    # The entry's id has whole milliseconds.
    assert 0 <= times.arrived.p50 <= times.read.p50


@pytest.mark.real_gateway
@pytest.mark.parametrize("case", resumption.CASES, ids=lambda case: case.name)
def test_all_that_are_dropped_come_back_and_miss_nothing(case: resumption.Case):
    spread = resumption.Spread(50, 200)
    found = resumption.drop_all(replace(case, channels=min(case.channels, 3)), 20, spread)
    assert (found.wrong, found.signals) == (0, 0)
    assert found.frames_missed >= 1
    assert found.latest_seconds > 0


@pytest.mark.real_gateway
def test_a_frame_that_never_comes_is_a_lost_one_at_the_deadline():
    with (
        own_gateway() as own,
        Audience(own.port, ["/sub/thread:1"] * 4, follows=True) as audience,
    ):
        audience.wait_until_open()
        assert not audience.have_all(1, deadline_seconds=0.05)
        own.send([("thread:1", 1)])
        assert audience.have_all(1)
        found = audience.findings(newest=2)
        assert (found.frames, found.lost) == (4, 4)


def frames(queue: OwnQueue):
    return RedisLog(queue.client, queue.keys).after("0-0", 1000)
