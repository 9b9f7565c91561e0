"""What the tests of the checker expect of it."""

from __future__ import annotations

from tests.faults.checking.checker import check
from tests.faults.checking.story import Story
from tests.faults.evidence import CommittedEvent, Kind, Verdict


def sentences(verdict: Verdict) -> list[str]:
    """What was found, for the message of a failed test."""
    return [f"{finding.kind.value}: {finding.sentence}" for finding in verdict.findings]


def assert_clean(story: Story) -> Verdict:
    """The checker finds nothing."""
    verdict = check(story.evidence)
    assert sentences(verdict) == []
    return verdict


def assert_found(story: Story, kind: Kind, times: int = 1) -> Verdict:
    """The checker finds this, so often, and nothing else."""
    verdict = check(story.evidence)
    assert {finding.kind for finding in verdict.findings} == {kind}, sentences(verdict)
    assert verdict.count(kind) == times, sentences(verdict)
    return verdict


def some_events(story: Story, how_many: int = 5) -> list[CommittedEvent]:
    """Events of as many writes."""
    return [event for _ in range(how_many) for event in story.write()]
