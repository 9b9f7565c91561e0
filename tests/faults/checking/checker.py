"""Compares what was asked of the site, what the database committed and what each reader got.

The truth is the outbox's rows as the database itself copied them. Of Pushgate only the cursor's
format and the length of a history are taken; whatever else it says of itself is not believed.

A channel's events are in one order, that of their rows. So what a reader got of a channel between
two resets must be a run of that order without a hole: begun no later than the first event written
after it subscribed, and reaching to the end if no reset came after.
"""

from __future__ import annotations

from tests.faults.checking.findings import Findings
from tests.faults.checking.lists import check_list
from tests.faults.checking.resets import Resets
from tests.faults.checking.rows import Rows
from tests.faults.checking.seen_frames import SeenFrames
from tests.faults.checking.sightings import Sightings
from tests.faults.checking.streams import Streams
from tests.faults.checking.truth import Truth
from tests.faults.evidence import Evidence, Verdict


def check(evidence: Evidence) -> Verdict:
    """Return all that is wrong, and how much was looked at."""
    verdict = Verdict()
    findings = Findings(verdict)
    truth = Truth(evidence)
    frames = SeenFrames(evidence, truth)
    sightings = Sightings(evidence, frames.begun)
    streams = Streams(truth, frames, sightings, findings, verdict)
    resets = Resets(truth, frames, streams, evidence, findings, verdict)
    Rows(truth, findings).check(evidence, verdict)
    frames.check(evidence, findings, sightings)
    for reader in evidence.readers:
        streams.check(reader)
        resets.check(reader)
        check_list(reader, evidence, frames, findings)
    return verdict
