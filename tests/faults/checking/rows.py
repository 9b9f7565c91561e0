"""What the site's API said, what the outbox has, and what the tables have: each must be what the
others say."""

from __future__ import annotations

from collections import Counter

from loadtest.record import Answer
from tests.faults.checking.findings import Findings
from tests.faults.checking.truth import DELETED, Truth, comment_of
from tests.faults.evidence import CommittedEvent, Evidence, Kind, Verdict, Write


class Rows:
    """Compares the writes, the outbox's rows and the comments that are stored."""

    def __init__(self, truth: Truth, findings: Findings) -> None:
        self._truth = truth
        self._findings = findings

    def check(self, evidence: Evidence, verdict: Verdict) -> None:
        """Find writes without their events, events without their write, and rows that differ."""
        for write in evidence.writes:
            verdict.ambiguous += write.answer is Answer.NONE
            self._check_write(write)
        for number, events in self._truth.of_write.items():
            if number not in self._truth.writes:
                self._tell(events[0], "nobody wrote that")
        for comment, events in self._truth.deletions.items():
            self._check_deletion(comment, events)
        self._check_stored(evidence)

    def _check_write(self, write: Write) -> None:
        if write.type == DELETED:
            had = [comment for comment in write.comments if self._truth.deletions.get(comment)]
            # Others may have deleted one of them as well: then its event is theirs.
            had_others = {comment for comment in had if len(self._truth.deleting[comment]) > 1}
        else:
            events = self._truth.of_write.get(write.number, [])
            for event in events:
                if event.type != write.type:
                    self._tell(event, f"write {write.number} was to be {write.type}")
            had = [comment_of(event) for event in events]
            had_others = set()
        wrong = self._fault_of(write, had, had_others)
        if wrong:
            at = write.begun_at
            self._findings.add(Kind.UNTOLD, at, f"write {write.number}, {write.type}: {wrong}")

    def _fault_of(self, write: Write, had: list[int], had_others: set[int]) -> str:
        """Return what is wrong with the events of a write, "" when nothing is.

        Args:
            had: the comments that there are events for.
            had_others: those of them whose event may be of another write.
        """
        asked = set(write.comments)
        if write.doomed or write.answer is Answer.REFUSED:
            own = [comment for comment in had if comment not in had_others]
            why = "could not happen" if write.doomed else "was refused"
            return f"it {why}, and the outbox tells of comments {own[:5]}" if own else ""
        if write.type != DELETED and (repeated := [c for c, n in Counter(had).items() if n > 1]):
            return f"the outbox tells of comments {repeated[:5]} more than once"
        if asked and (others := set(had) - asked):
            return f"the outbox tells of comments {sorted(others)[:5]}, which it did not name"
        if write.answer is Answer.NONE and had and len(had) < write.many:
            return f"the outbox has {len(had)} of {write.many} comments"
        lacking = asked - set(had)
        if write.answer is Answer.ACCEPTED:
            if lacking or not had:
                return f"it was accepted, and the outbox has nothing of {sorted(lacking)[:5]}"
        elif lacking and set(had) - had_others:
            return f"the outbox has only a part of it, and not {sorted(lacking)[:5]}"
        return ""

    def _check_deletion(self, comment: int, events: list[CommittedEvent]) -> None:
        if len(events) > 1:
            self._tell(events[1], "it had been deleted before")
        writes = self._truth.deleting[comment]
        accepted = [write for write in writes if write.answer is Answer.ACCEPTED]
        possible = [write for write in writes if write.answer is Answer.NONE and not write.doomed]
        if not accepted and not possible and len(writes) != 1:
            # Of one that was refused or doomed alone, it is said already.
            self._tell(events[0], "nobody who might deleted it")
        if len(accepted) > 1:
            numbers = [write.number for write in accepted]
            self._tell(events[0], f"writes {numbers[:5]} were all told that they deleted it")

    def _check_stored(self, evidence: Evidence) -> None:
        threads = {write.thread for write in evidence.writes}
        told: dict[int, tuple[int, str]] = {}
        last: dict[int, CommittedEvent] = {}
        for event in self._truth.rows:
            comment = comment_of(event)
            last[comment] = event
            if event.type == DELETED:
                told.pop(comment, None)
            else:
                told[comment] = (int(event.data["thread"]), str(event.data["text"]))
        stored = evidence.stored
        for comment in sorted(told.keys() | stored.keys()):
            by_events, in_table = told.get(comment), stored.get(comment)
            thread = (by_events or in_table or (0, ""))[0]
            if by_events == in_table or thread not in threads:
                continue
            sentence = (
                f"comment {comment} is {_shown(in_table)} in the database, "
                f"and {_shown(by_events)} by its events"
            )
            at = self._truth.time_of(last[comment]) if comment in last else evidence.ended_at
            self._findings.add(Kind.UNTOLD, at, sentence)

    def _tell(self, event: CommittedEvent, what: str) -> None:
        sentence = f"row {event.row}, {event.type} {event.object}: {what}"
        self._findings.add(Kind.UNTOLD, self._truth.time_of(event), sentence)


def _shown(row: tuple[int, str] | None) -> str:
    return f"{row[1][:60]!r} in thread {row[0]}" if row else "not there"
