"""One reader's stream, byte by byte: the chunks of HTTP, the blocks in them, and what each says."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.faults.evidence import Mark, ReaderHistory, Sign

MOST_UNFINISHED_BYTES = 2 * 1024 * 1024
"""Of a block or a line that does not end: then it is no stream of ours."""

_MOST_WHOLE_READS = 8_192
_LATEST_BLOCKS = 10_000


class NoStream(Exception):
    """What came is not what an event stream looks like."""


class BlockTable:
    """Each different frame once; and the reads that were one whole frame and nothing else.

    Attributes:
        blocks: the frames, without their blank line.
        numbers: block -> its place in `blocks`.
        whole: what a read brought -> the frame in it. Thousands of readers read the same bytes, and
            one look-up here is all that most deliveries cost.
    """

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.numbers: dict[bytes, int] = {}
        self.whole: dict[bytes, int] = {}

    def number_of(self, block: bytes) -> int:
        """Return a frame's place; a new one gets the next."""
        number = self.numbers.setdefault(block, len(self.blocks))
        if number == len(self.blocks):
            self.blocks.append(block)
        return number

    def frames_with(self, words: bytes) -> set[int]:
        """Return which of the latest frames hold these words."""
        first = max(0, len(self.blocks) - _LATEST_BLOCKS)
        return {number for number in range(first, len(self.blocks)) if words in self.blocks[number]}

    def remember_read(self, data: bytes, number: int) -> None:
        """Note that these bytes are one frame and nothing else."""
        if len(self.whole) >= _MOST_WHOLE_READS:
            self.whole.clear()
        self.whole[data] = number


@dataclass(slots=True)
class Chunks:
    """Takes the transfer coding off, however it was cut into reads."""

    ended: bool = False
    left: int = 0
    line: bytes = b""

    def feed(self, data: bytes) -> bytes:
        """Return what was inside.

        Raises:
            NoStream: a chunk's size is none.
        """
        parts = []
        at = 0
        while at < len(data) and not self.ended:
            if self.left:
                part = data[at : at + self.left]
                parts.append(part)
                at += len(part)
                self.left -= len(part)
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self.line += data[at:]
                if len(self.line) > 1024:
                    raise NoStream(f"a chunk begins with {self.line[:40]!r}")
                break
            line = (self.line + data[at:end]).strip()
            self.line, at = b"", end + 1
            # An empty one ends the chunk before.
            if line:
                self.left = self._size_in(line)
                self.ended = self.left == 0
        return b"".join(parts)

    @staticmethod
    def _size_in(line: bytes) -> int:
        try:
            return int(line.partition(b";")[0], 16)
        except ValueError:
            raise NoStream(f"a chunk begins with {line[:40]!r}") from None


@dataclass(slots=True, eq=False)
class CrowdStream:
    """What one reader has got over all its connections, and where it is in the one it has.

    Attributes:
        history: for the checker.
        retry_seconds: what the gateway said last.
        status: of the answer; 0 while its head is not there.
        is_subscribed: the stream has said its position.
        is_refused: an error came, as an event or a status.
        has_ended: nothing more comes by this connection.
        is_clean: the next byte begins a chunk and a block.
    """

    table: BlockTable
    history: ReaderHistory
    retry_seconds: float = 3.0
    status: int = 0
    is_subscribed: bool = False
    is_refused: bool = False
    has_ended: bool = False
    is_clean: bool = False
    _chunks: Chunks | None = None
    _rest: bytes = b""
    _control_id: bytes = b""
    _control_after: int = 0

    def begin(self) -> None:
        """Forget what the connection before had not finished."""
        self.status, self._chunks, self._rest = 0, None, b""
        self.is_subscribed = self.is_refused = self.has_ended = self.is_clean = False

    @property
    def last_id(self) -> bytes:
        """What the next connection brings along; empty for a first one."""
        frames = self.history.frames
        if len(frames) > self._control_after:
            return _id_in(self.table.blocks[frames[-1]]) or self._control_id
        return self._control_id

    def receive(self, data: bytes, now: float) -> None:
        """Take what a read brought.

        Raises:
            NoStream: it is no event stream.
        """
        frames = self.history.frames
        if self.is_clean:
            number = self.table.whole.get(data)
            if number is not None:
                frames.append(number)
                return
        if self.status == 0:
            data = self._read_head(self._rest + data, now)
        if self.status == 200:
            self._read_body(data, now)

    def _read_head(self, data: bytes, now: float) -> bytes:
        head, found, body = data.partition(b"\r\n\r\n")
        if not found:
            self._rest = _bounded(data)
            return b""
        self._rest = b""
        try:
            self.status = int(head.split(b" ", 2)[1])
        except (IndexError, ValueError):
            raise NoStream(f"an answer begins with {head[:40]!r}") from None
        head = head.lower()
        if self.status != 200 or b"content-type: text/event-stream" not in head:
            self.is_refused = self.has_ended = True
            self._mark(Sign.ERROR, now, reason=f"status {self.status}")
        elif b"transfer-encoding: chunked" in head:
            self._chunks = Chunks()
        return body

    def _read_body(self, data: bytes, now: float) -> None:
        chunks, was_clean = self._chunks, self.is_clean
        text = data if chunks is None else chunks.feed(data)
        *blocks, rest = (self._rest + text).split(b"\n\n")
        numbers, frames = self.table.numbers, self.history.frames
        for block in blocks:
            number = numbers.get(block)
            if number is None:
                self._read_block(block.lstrip(b"\n"), now)
            else:
                frames.append(number)
                self.is_subscribed = True
        self._rest = _bounded(rest)
        if chunks is not None and chunks.ended:
            self.has_ended = True
        within = chunks is not None and (chunks.left > 0 or chunks.line != b"")
        self.is_clean = self.is_subscribed and not rest and not within
        if was_clean and self.is_clean and len(blocks) == 1 and blocks[0] in numbers:
            self.table.remember_read(data, numbers[blocks[0]])

    def _read_block(self, block: bytes, now: float) -> None:
        """Read a block that is no frame that was seen before."""
        fields: dict[bytes, bytes] = {}
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            if name:
                fields[name] = value.removeprefix(b" ")
        if fields.get(b"retry", b"").isdigit():
            self.retry_seconds = int(fields[b"retry"]) / 1000
        cursor, event = fields.get(b"id", b""), fields.get(b"event", b"")
        if event == b"reset":
            self._mark(Sign.RESET, now, cursor, _reason_in(fields.get(b"data", b"")))
        elif event == b"error":
            self.is_refused = True
            self._mark(Sign.ERROR, now, cursor, _reason_in(fields.get(b"data", b"")))
        elif b"data" in fields:
            self.history.frames.append(self.table.number_of(block))
        elif cursor and not self.is_subscribed:
            self._mark(Sign.SUBSCRIBED, now, cursor)
        if cursor and (event == b"reset" or b"data" not in fields):
            self._control_id, self._control_after = cursor, len(self.history.frames)
        self.is_subscribed = self.is_subscribed or b"id" in fields

    def end(self, now: float) -> None:
        """Note that the stream is over."""
        if self.is_subscribed:
            self._mark(Sign.ENDED, now)
        self.begin()

    def _mark(self, sign: Sign, now: float, cursor: bytes = b"", reason: str = "") -> None:
        after, text = len(self.history.frames), cursor.decode("utf-8", "replace")
        self.history.marks.append(Mark(after, sign, now, text, reason))


def _bounded(rest: bytes) -> bytes:
    if len(rest) > MOST_UNFINISHED_BYTES:
        raise NoStream(f"{len(rest)} bytes came without an end: {rest[:40]!r}")
    return rest


def _id_in(block: bytes) -> bytes:
    for line in block.split(b"\n"):
        if line.startswith(b"id:"):
            return line[3:].removeprefix(b" ")
    return b""


def _reason_in(data: bytes) -> str:
    try:
        said = json.loads(data)
    except ValueError:
        return repr(data[:80])
    return str(said.get("reason", "")) if isinstance(said, dict) else repr(data[:80])
