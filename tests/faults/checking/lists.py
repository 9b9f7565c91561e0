"""What a page shows at the end, compared with what the database has."""

from __future__ import annotations

from tests.faults.checking.findings import Findings
from tests.faults.checking.seen_frames import SeenFrames
from tests.faults.checking.truth import DELETED
from tests.faults.evidence import Evidence, Kind, ReaderHistory, Sign


def shown_at_end(reader: ReaderHistory, frames: SeenFrames) -> dict[int, str] | None:
    """Return the list a page shows at the end, id -> text; None when it never read one."""
    listed = next((mark for mark in reversed(reader.marks) if mark.sign is Sign.LISTED), None)
    if listed is None or listed.comments is None:
        return None
    shown = dict(listed.comments)
    for index in reader.frames[listed.after :]:
        frame = frames.frames[index]
        comment, text = frame.data.get("id"), frame.data.get("text")
        if not isinstance(comment, int):
            continue
        if frame.type == DELETED:
            shown.pop(comment, None)
        else:
            shown[comment] = str(text)
    return shown


def check_list(
    reader: ReaderHistory, evidence: Evidence, frames: SeenFrames, findings: Findings
) -> None:
    """Find where a page's list at the end is not that of the database."""
    shown = shown_at_end(reader, frames)
    if shown is None:
        return
    threads = {int(name.partition(":")[2]) for name in reader.channels}
    stored = {
        comment: text for comment, (thread, text) in evidence.stored.items() if thread in threads
    }
    if shown == stored:
        return
    for comment in sorted(shown.keys() | stored.keys()):
        if shown.get(comment) != stored.get(comment):
            sentence = (
                f"{reader.name} shows comment {comment} as {shown.get(comment)!r:.80}; "
                f"the database has {stored.get(comment)!r:.80}"
            )
            findings.add(Kind.WRONG_LIST, evidence.ended_at, sentence)
