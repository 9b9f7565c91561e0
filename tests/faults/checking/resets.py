"""Whether a reset was justified: the log really lost something, or the history no longer reached
back."""

from __future__ import annotations

from bisect import bisect_right
from math import inf

from pushgate import Cursor
from pushgate.log import HISTORY_LENGTH
from tests.faults.checking.findings import Findings
from tests.faults.checking.seen_frames import SeenFrames
from tests.faults.checking.streams import Streams, cursor_in, periods_of
from tests.faults.checking.truth import Truth
from tests.faults.evidence import Evidence, Kind, Mark, ReaderHistory, Sign, Verdict

_READ_LATE_SECONDS = 0.2
"""So much later than the gateway the harness may have read an entry."""


class Resets:
    """Looks at the resets of one reader after the other.

    Args:
        evidence: how the epoch moved, and what the log held, as the harness saw it.
    """

    def __init__(
        self,
        truth: Truth,
        frames: SeenFrames,
        streams: Streams,
        evidence: Evidence,
        findings: Findings,
        verdict: Verdict,
    ) -> None:
        self._truth = truth
        self._frames = frames
        self._streams = streams
        self._move_to = {move.new: move for move in evidence.epochs}
        self._log = evidence.log
        self._findings = findings
        self._verdict = verdict

    def check(self, reader: ReaderHistory) -> None:
        """Find the resets of a reader that it should not have got."""
        for number, mark in enumerate(reader.marks):
            if mark.sign is not Sign.RESET:
                continue
            wrong = self._fault_of(reader, number, mark)
            if wrong:
                sentence = f"{reader.name} got a reset {mark.reason} at {mark.cursor}: {wrong}"
                self._findings.add(Kind.FALSE_RESET, mark.at, sentence)
            else:
                self._verdict.resets += 1

    def _fault_of(self, reader: ReaderHistory, number: int, mark: Mark) -> str:
        """Return what is wrong with a reset, "" when nothing is."""
        now = cursor_in(mark.cursor)
        if now is None:
            return "it says no position"
        before = self._position_before(reader, number, mark)
        if mark.reason == "epoch":
            if before and before.epoch == now.epoch:
                return "its position was of that epoch already"
            lost = self._log_lost(before.epoch if before else "", now.epoch)
            return "" if lost else "the log lost nothing"
        if mark.reason == "history":
            if before and self._log_lost(before.epoch, now.epoch):
                return ""
            missed = max(
                max(
                    self._missed(reader, mark, channel),
                    self._logged(channel, before, now.epoch, mark.at) if before else 0,
                )
                for channel in reader.channels
            )
            return "" if missed >= HISTORY_LENGTH else f"at most {missed} events lie between"
        return "there is no reason for that"

    def _position_before(self, reader: ReaderHistory, number: int, reset: Mark) -> Cursor | None:
        """Return the last position a reader had before the connection that told it of a reset."""
        for mark in reversed(reader.marks[:number]):
            if mark.after < reset.after:
                break
            # The stream that brings a reset says the reset's position first.
            if mark.cursor and (mark.sign is not Sign.SUBSCRIBED or mark.cursor != reset.cursor):
                return cursor_in(mark.cursor)
        if reset.after:
            return self._frames.frames[reader.frames[reset.after - 1]].cursor
        return None

    def _log_lost(self, old: str, new: str) -> bool:
        """Return whether one of the moves between two epochs was justified."""
        epoch, passed, lost = new, set[str](), False
        while epoch != old and epoch not in passed and epoch in self._move_to:
            passed.add(epoch)
            move = self._move_to[epoch]
            lost = lost or move.justified
            epoch = move.old
        # Who never had a position may come from anywhere.
        return lost and epoch in (old, old or epoch)

    def _logged(self, channel: str, before: Cursor, epoch: str, at: float) -> int:
        """Return how many frames of a channel lay behind a position at a moment of an epoch; after
        a loss they may be of rows that went out before, and more than the gateway had handed out.
        """
        ids = self._log.get((channel, epoch), [])
        begin = (before.ms, before.seq) if before.epoch == epoch else (-1, 0)
        count = bisect_right(ids, at + _READ_LATE_SECONDS, key=lambda entry: entry[2])
        return count - bisect_right(ids, (*begin, inf))

    def _missed(self, reader: ReaderHistory, reset: Mark, channel: str) -> int:
        """Return how many of a channel's events lie around a reset, at the most."""
        place_of = self._frames.places.get(channel, {}).get
        before = reversed(reader.frames[: reset.after])
        after = reader.frames[reset.after :]
        had = next((place for place in map(place_of, before) if place is not None), None)
        if had is None:
            had = self._streams.first_due(periods_of(reader)[0], channel) - 1
        end = len(self._truth.channels.get(channel, ()))
        next_one = next((place for place in map(place_of, after) if place is not None), end)
        return next_one - had - 1
