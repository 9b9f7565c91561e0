"""What the benchmarks reckon from what they measured."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from loadtest.bench import comment_pipeline, heavy_stage, other_queues, queue_worker
from loadtest.bench.__main__ import BENCHMARKS, main
from loadtest.bench.comment_texts import LONGEST, SHORTEST, comment_texts
from loadtest.bench.event_rows import plain_events
from loadtest.bench.gateway import (
    fan_out,
    frame_time,
    frames,
    idle_subscribers,
    resumption,
)
from loadtest.bench.heavy_stage import Frames
from loadtest.bench.peers.marks import FIRST, LAST, among_marks
from loadtest.bench.spent import (
    TICK_SECONDS,
    Books,
    Spent,
    family_cpu_seconds,
    median_of,
    pin,
    resident_bytes,
)
from loadtest.bench.worker_memory import most_resident_bytes
from loadtest.percentiles import Percentiles
from pushgate import Event


def test_spent_says_what_a_job_took():
    spent = Spent(jobs=1000, seconds=2.0, cpu_seconds=0.5, redis_cpu_seconds=0.3)
    assert spent.per_second == 500
    assert spent.per_cpu_second == 2000
    assert spent.per_cpu_second_with_redis == 1250
    assert spent.cpu_microseconds == pytest.approx(500)
    assert spent.redis_cpu_microseconds == pytest.approx(300)


def test_books_are_compared_with_those_before():
    before, after = Books(10.0, 1.0, 0.5), Books(12.0, 1.5, 0.75)
    assert after.since(before, 100) == Spent(100, 2.0, 0.5, 0.25)


def test_what_took_less_than_the_kernel_counts_took_one_tick():
    spent = Spent(jobs=10, seconds=0.001, cpu_seconds=0.0, redis_cpu_seconds=0.0)
    assert spent.per_cpu_second == spent.per_cpu_second_with_redis == 10 / TICK_SECONDS


def test_the_median_is_each_figures_own():
    rounds = [Spent(10, 1.0, 0.9, 0.1), Spent(10, 3.0, 0.1, 0.2), Spent(10, 2.0, 0.5, 0.9)]
    assert median_of(rounds) == Spent(10, 2.0, 0.5, 0.2)


def test_rounds_of_other_sizes_are_made_comparable():
    assert median_of([Spent(10, 1.0, 1.0, 1.0), Spent(20, 2.0, 2.0, 2.0)]) == Spent(10, 1, 1, 1)


def test_a_family_includes_children_that_run_and_children_that_ended():
    script = (
        "import subprocess, sys\n"
        "burn = 'import time\\nwhile time.process_time() < 0.3: pass'\n"
        "subprocess.run([sys.executable, '-c', burn])\n"
        "child = subprocess.Popen([sys.executable, '-c', burn + '\\nprint()\\ninput()'],\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print('both', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"both\n"
        assert family_cpu_seconds(parent.pid) >= 0.5
        parent.communicate(b"\n")


def test_a_process_is_kept_on_one_core():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        pin(child.pid, core=1)
        cores = os.sched_getaffinity(child.pid)
        child.communicate(b"\n")
    own = sorted(os.sched_getaffinity(0))
    assert cores == ({own[1]} if len(own) > 1 else set(own))


def test_memory_is_read_from_the_kernel():
    assert 1e6 < resident_bytes(os.getpid()) <= most_resident_bytes(os.getpid())


def test_an_events_size_is_what_the_tables_say():
    rows = plain_events(1000, keys=100)
    assert all(310 <= len(body) <= 335 for _, _, body in rows)
    assert len({key for _, key, _ in rows}) == 100
    assert [mark for mark, _, _ in rows] == sorted({mark for mark, _, _ in rows})


def test_the_texts_are_the_same_in_every_run_and_of_all_lengths():
    texts = comment_texts()
    assert texts == comment_texts()
    assert all(SHORTEST <= len(text) <= LONGEST for text in texts)
    assert min(map(len, texts)) < 100
    assert max(map(len, texts)) > 900
    together = "\n".join(texts)
    assert all(sign in together for sign in ("**", "](https://", "\n> ", "\n- ", "\n2. ", "```"))


def test_private_fields_are_for_the_moderators_channel():
    event = Event.from_json(comment_pipeline.comments_of(3, "comment.created")[2][2])
    assert event.channels == ("thread:2", "moderators:2")
    assert event.data["email"] == "ada@example.com"


def test_marks_stand_behind_the_first_and_the_last_jobs():
    put: list[str] = []
    among_marks(lambda count: put.extend(["idle"] * count), put.append, first=2, jobs=3)
    assert put == ["idle", "idle", FIRST, "idle", "idle", LAST]


def test_the_comment_pipeline_is_compared_with_libraries_and_identity_together():
    costs = comment_pipeline.Costs(
        libraries=200.0,
        identity=Spent(1000, 1.0, 0.05, 0.01),
        comments=Spent(1000, 1.0, 0.3, 0.02),
        one=Spent(1000, 1.0, 0.9, 0.1),
        two=Spent(1850, 1.0, 1.8, 0.1),
    )
    assert costs.ratio == pytest.approx(1.2)
    assert costs.added == pytest.approx(0.85)
    assert costs.added_cpu == pytest.approx(0.85)
    assert "1.20x" in str(comment_pipeline.table_of(costs, 1000))
    assert "+0.85" in str(comment_pipeline.table_of(costs, 1000))


def test_other_queues_are_compared_by_jobs_of_a_cpu_second():
    own = {
        other_queues.PUBLISHED: Spent(1000, 1.0, 0.1, 0.1),
        other_queues.DROPPED: Spent(1000, 1.0, 0.05, 0.05),
    }
    theirs = {peer: Spent(100, 1.0, 0.2, 0.05) for peer in other_queues.PEERS}
    table = other_queues.table_of(own, theirs)
    celery = next(row for row in table.rows if row[0] == "Celery, prefork")
    assert celery[1:] == ("100", "500", "400", "20.0", "12.5", "40.0", "25.0", "10")


def test_the_bare_loops_are_hundred_percent_of_themselves():
    spent = dict.fromkeys(queue_worker.WAYS, Spent(1000, 1.0, 0.5, 0.1))
    spent["formatter, identity"] = Spent(1000, 2.0, 0.5, 0.1)
    commands, _, formatter = (queue_worker.row_of("", way, spent) for way in queue_worker.WAYS)
    assert commands[-2] == "100%"
    assert formatter[-2:] == ("50%", "50%")


def test_heavy_stages_are_judged_by_the_others_p99():
    def frames(milliseconds: float) -> list[Frames]:
        return [Frames(Percentiles.of([milliseconds] * 10), Percentiles.of([50.0]))]

    found = dict(zip(heavy_stage.WAYS, map(frames, (2.0, 3.0, 30.0)), strict=True))
    table = heavy_stage.table_of(found, seconds=1.0)
    assert [row[3:6] for row in table.rows] == [
        ("2.0", "", ""),
        ("3.0", "1.5x", "3.0x"),
        ("30.0", "15.0x", ""),
    ]


def test_a_benchmark_that_is_not_there_is_named(capsys):
    assert main(["no_such"]) == 1
    said = capsys.readouterr().err
    assert "no_such: no such benchmark" in said
    assert all(name in said for name in BENCHMARKS)


def test_a_frame_has_the_size_that_the_tables_say():
    for number in (1, 1_000_000):
        text = frames.frame_with_id(number)
        assert len(text) == frames.FRAME_BYTES
        assert text.startswith("id: ")
        assert f'"n":{number},' in text
        assert text.endswith("\n\n")
        assert text.partition("\n")[2] == frames.frame(number)


def test_fan_out_is_compared_with_the_bare_loop_by_medians():
    found = {
        fan_out.BARE: [5.0, 5.0, 50.0],
        fan_out.MODULE: [8.0, 8.0, 8.0],
        fan_out.GATEWAY: [9.0, 10.0, 11.0],
        fan_out.SEVERAL: [10.0],
        fan_out.SPREAD: [20.0],
    }
    table = fan_out.table_of(found, subscribers=2000, frames=200)
    gateway = next(row for row in table.rows if row[0] == fan_out.GATEWAY)
    assert gateway[1:] == ("10.00", "9.00", "11.00", "2.00x", "1.25x")
    assert "met, 2.00x" in str(table)
    assert "MISSED, 2.40x" in str(fan_out.table_of({**found, fan_out.GATEWAY: [12.0]}, 2000, 200))


def test_idle_subscribers_are_judged_by_rate_memory_and_cpu():
    idle = idle_subscribers.Idle(
        subscribers=10_000,
        connect_seconds=2.5,
        connect_cpu_seconds=1.0,
        clients_cpu_seconds=1.0,
        bytes_before=20 * 2**20,
        bytes_after=20 * 2**20 + 10_000 * 13 * 1024,
        idle_seconds=30.0,
        idle_cpu_seconds=0.6,
        asleep_cpu_seconds=0.5,
        module_cpu_seconds=0.4,
        drops=0,
        of_workers=(6_000, 4_000),
    )
    assert (idle.per_second, idle.kilobytes) == (4_000, 13.0)
    assert idle.idle_share == pytest.approx(0.02)
    judged = [row[-1] for row in idle_subscribers.table_of(idle, "").rows]
    assert judged == ["met", "", "MISSED", "met", "", "", "met"]


def test_frame_times_are_judged_where_the_gateways_part_ends_and_where_the_clients_does():
    times = frame_time.FrameTimes(
        100, Percentiles.of([100.0, 390.0]), Percentiles.of([100.0, 410.0]), 0.2, 0.1, wrong=0
    )
    assert [row[-1] for row in frame_time.table_of(times, frames=40, others="").rows] == [
        "met",
        "MISSED",
    ]


def test_a_resume_is_judged_by_its_end_its_exactness_and_redis():
    good = resumption.Resumption(100, 5.4, 0.2, 10.0, 0, 0, 1.0, 0.5, 0)
    found = {
        "good": good,
        "late": replace(good, back_seconds=7.0),
        "twice": replace(good, wrong=1),
        "reset": replace(good, signals=1),
        "redis": replace(good, redis_cpu_seconds=3.0),
    }
    judged = [row[-1] for row in resumption.table_of(found, "").rows]
    assert judged == ["met", "MISSED", "MISSED", "MISSED", "MISSED"]
