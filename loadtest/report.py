"""The report at the end of a load test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loadtest.checker import Finding
from loadtest.percentiles import Percentiles
from loadtest.record import Answer, Kind, Record
from loadtest.session import LoadSession

_HEAD = f"{'milliseconds':<24}{'count':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}"


def report(session: LoadSession, cpu_seconds: Mapping[str, float] | None = None) -> str:
    """Return the report of a session that was judged.

    Args:
        cpu_seconds: what each part used, where that is known.
    """
    return "\n".join([*_lines(session), *_cpu_lines(cpu_seconds or {}), "", _verdict(session)])


def _lines(session: LoadSession) -> Iterator[str]:
    record, settings, counts = session.record, session.settings, session.counts
    accepted = record.writes(Answer.ACCEPTED)
    by_kind = ", ".join(
        f"{kind.value.removeprefix('comment.')} {sum(write.kind is kind for write in accepted)}"
        for kind in Kind
    )
    yield ""
    yield (
        f"{settings.readers} readers on {settings.threads} threads, {settings.commenters} "
        f"commenters, {settings.seconds:g} s, seed {settings.seed}"
    )
    yield f"writes       accepted {len(accepted)} ({by_kind}), ambiguous {session.unanswered}"
    yield (
        f"connections  connects {counts['connect']}, resumes {counts['resume']}, "
        f"cut off by the server {counts['cut off']}"
    )
    if session.verdict:
        replayed = sum(sum(journal.replayed) for journal in record.journals)
        yield (
            f"frames       due {session.verdict.due}, delivered {session.verdict.received} "
            f"({replayed} of them from history, after a resume)"
        )
    yield ""
    yield _HEAD
    yield _row("commit to reader", from_commit_ms(record))
    yield _row("API's answer to reader", from_answer_ms(record))
    answered = (write.answered_at - write.begun_at for write in accepted)
    yield _row("API's answer", (s * 1000 for s in answered if s < float("inf")))
    yield _row("connect and resume", session.connect_ms)


def _cpu_lines(cpu_seconds: Mapping[str, float]) -> Iterator[str]:
    if cpu_seconds:
        yield ""
        yield "CPU seconds  " + ", ".join(f"{name} {cpu_seconds[name]:.1f}" for name in cpu_seconds)


def _verdict(session: LoadSession) -> str:
    verdict = session.verdict
    if verdict is None:
        return "stopped before its end: no verdict"
    found = ", ".join(f"{verdict.counts[finding]} {finding.value}" for finding in Finding)
    line = f"{found}, {session.failures.total()} failures"
    examples = [*verdict.examples, *session.failure_examples]
    return "\n".join([line, *(f"  {sentence}" for sentence in examples)])


def _row(name: str, values: Iterator[float] | list[float]) -> str:
    found = Percentiles.of(values)
    numbers = "".join(f"{value:>9.1f}" for value in (found.p50, found.p95, found.p99, found.max))
    return f"{name:<24}{found.count:>9}{numbers}"


def from_commit_ms(record: Record) -> Iterator[float]:
    """Yield the milliseconds from an event's `at` to its receipt, of each frame that came live."""
    for journal in record.journals:
        for number, received, replayed in zip(
            journal.frames, journal.times, journal.replayed, strict=True
        ):
            if not replayed:
                yield (received - journal.thread.events[number].at) * 1000


def from_answer_ms(record: Record) -> Iterator[float]:
    """Yield the milliseconds from the API's answer to the receipt of each frame that came live.

    A frame that was there before the answer counts as 0.
    """
    for journal in record.journals:
        for number, received, replayed in zip(
            journal.frames, journal.times, journal.replayed, strict=True
        ):
            write = journal.thread.events[number].write
            if not replayed and write is not None and write.answer is Answer.ACCEPTED:
                yield max(0.0, received - write.answered_time) * 1000
