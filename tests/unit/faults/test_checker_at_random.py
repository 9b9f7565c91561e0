"""Histories as a good gateway makes them, at random: the checker finds nothing in them, and finds
whatever is spoilt in them afterwards."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from tests.faults.checking.checker import check
from tests.faults.checking.story import Story
from tests.faults.checking.streams import periods_of
from tests.faults.evidence import CommittedEvent, Kind, ReaderHistory, Sign, Verdict

THREADS = (1, 2, 3)
SEEDS = range(300, 320)


@dataclass(eq=False)
class Subscriber:
    """A reader as the gateway knows it: where it is in the log, and of which epoch that is."""

    history: ReaderHistory
    place: int
    epoch: str
    is_there: bool = True


class RandomRun:
    """Writes, drops, resumes and losses of the log's end, one after the other."""

    def __init__(self, seed: int) -> None:
        self.chosen = random.Random(seed)
        self.story = Story()
        self.log: list[CommittedEvent] = []
        self._epochs = 0
        self.subscribers = [self._subscriber(number) for number in range(1, 7)]

    def _subscriber(self, number: int) -> Subscriber:
        threads = self.chosen.sample(THREADS, self.chosen.choice((1, 1, 2)))
        history = self.story.reader(*threads, name=f"reader {number}")
        return Subscriber(history, len(self.log), self.story.epoch)

    def go(self, steps: int) -> Verdict:
        """Take so many steps, bring everybody to the end and check."""
        for _ in range(steps):
            dice, one = self.chosen.random(), self.chosen.choice(self.subscribers)
            if dice < 0.5:
                self.write()
            elif dice < 0.9:
                self.deliver(one, self.chosen.randrange(6))
            elif dice < 0.94:
                self.leave(one)
            elif dice < 0.98:
                self.come(one)
            elif dice < 0.99:
                self.subscribers.append(self._subscriber(len(self.subscribers) + 1))
            else:
                self.lose_the_end()
        for one in self.subscribers:
            self.come(one)
        for _ in range(60):
            self.write()
        for one in self.subscribers:
            self.deliver(one, len(self.log))
        return check(self.story.evidence)

    def write(self) -> None:
        """Write something, which is in the log at once."""
        thread = self.chosen.choice(THREADS)
        stored = [
            comment for comment, (of, _) in self.story.evidence.stored.items() if of == thread
        ]
        kind = self.chosen.choice(("comment.created", "comment.updated", "comment.deleted"))
        if not stored or kind == "comment.created":
            self.log += self.story.write(thread, many=self.chosen.choice((1, 1, 3)))
        else:
            self.log += self.story.write(thread, kind, [self.chosen.choice(stored)])
        self.story.here()

    def deliver(self, one: Subscriber, how_many: int) -> None:
        """Send what comes next to a reader that is there."""
        if not one.is_there:
            return
        mine = set(one.history.channels)
        for event in self.log[one.place : one.place + how_many]:
            if mine.intersection(event.channels):
                self.story.deliver(one.history, [event])
        one.place = min(len(self.log), one.place + how_many)

    def leave(self, one: Subscriber) -> None:
        """Cut a reader's stream."""
        if one.is_there:
            one.is_there = False
            self.story.mark(one.history, Sign.ENDED)

    def come(self, one: Subscriber) -> None:
        """Have a reader resume, or be told that it cannot."""
        if one.is_there:
            return
        one.is_there = True
        if one.epoch != self.story.epoch:
            self.story.mark(one.history, Sign.SUBSCRIBED, self.story.here())
            self._reset(one, len(self.log))
        else:
            self.story.mark(one.history, Sign.SUBSCRIBED, self._cursor_at(one.place))

    def lose_the_end(self) -> None:
        """Lose the log's last entries; whoever is there is told, and they are sent again."""
        kept = max(1, len(self.log) - self.chosen.randrange(1, 8))
        if kept >= len(self.log):
            return
        self._epochs += 1
        self.story.lose_tail(self.log[kept:], f"{self._epochs:08x}")
        for one in self.subscribers:
            if one.is_there:
                self._reset(one, kept)
        self.story.here()

    def _reset(self, one: Subscriber, place: int) -> None:
        self.story.mark(one.history, Sign.RESET, self._cursor_at(place), "epoch")
        one.place, one.epoch = place, self.story.epoch

    def _cursor_at(self, place: int) -> str:
        if place == 0:
            return f"{self.story.epoch}.1-0"
        return self.story.cursor_of(self.log[place - 1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_run_is_clean(seed: int) -> None:
    verdict = RandomRun(seed).go(600)
    assert [finding.sentence for finding in verdict.findings] == []
    assert verdict.deliveries == verdict.due > 100
    assert verdict.resets > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_spoilt_is_found(seed: int) -> None:
    run = RandomRun(seed)
    assert not run.go(600).findings
    long_enough = [one for one in run.subscribers if len(last_run(one.history)) > 4]
    history = run.chosen.choice(long_enough).history
    frames, positions = history.frames, last_run(history)
    before, kept = run.chosen.choice(positions[:-1]), list(frames)
    following = positions[positions.index(before) + 1]

    del frames[before]
    assert kinds(run) == {Kind.LOST}

    frames[:] = type(frames)("L", kept)
    frames.insert(following + 1, frames[before])
    assert kinds(run) == {Kind.TWICE}

    frames[:] = type(frames)("L", kept)
    frames[before], frames[following] = frames[following], frames[before]
    assert kinds(run) == {Kind.OUT_OF_ORDER}


def kinds(run: RandomRun) -> set[Kind]:
    """What the checker finds now."""
    return {finding.kind for finding in check(run.story.evidence).findings}


def last_run(history: ReaderHistory) -> list[int]:
    """The positions of one channel's frames since the last sign of a reader's history."""
    begin = max(period.begin for period in periods_of(history))
    begin = max(begin, *(mark.after for mark in history.marks))
    return list(range(begin, len(history.frames))) if len(history.channels) == 1 else []
