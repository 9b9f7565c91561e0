"""What may be wrong with a link, as it is said to the process that has the links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stack.errors import StackError

MODES: Mapping[str, frozenset[str]] = {
    "pass": frozenset(),
    "slow": frozenset({"latency_seconds", "jitter_seconds", "bytes_per_second"}),
    "cut": frozenset(),
    "half_open": frozenset(),
    "one_way": frozenset({"passes"}),
    "lose_replies": frozenset({"count", "containing"}),
    "lose_requests": frozenset({"count", "containing"}),
    "truncate": frozenset({"count", "containing"}),
    "split": frozenset(),
}
"""Each mode with the options that mean something in it.

`pass`: nothing is wrong.
`slow`: each way takes so long, and no more than so many bytes a second pass, each connection alone.
`cut`: open connections are reset and new ones refused.
`half_open`: nothing passes, nothing is closed, new connections are taken and told nothing; senders
    find their buffers full.
`one_way`: `passes` (`requests` or `replies`) go through, the others vanish.
`lose_replies`: the next `count` requests arrive whole, what is answered to them vanishes, and the
    connection is closed.
`lose_requests`: the next `count` requests vanish and the connection is closed.
`truncate`: the next `count` replies end somewhere in their middle and the connection is closed.
`split`: all arrives, in pieces of a few bytes.

`containing`: only a request with these words in it counts: `COMMIT`, say; for `truncate` the reply
to one.
"""


class LinkMisuse(StackError):
    """A link was asked for something that it does not know."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A mode and its options, see `MODES`."""

    mode: str = "pass"
    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: int = 0
    passes: str = "requests"
    count: int = 1
    containing: str = ""

    @classmethod
    def of(cls, mode: str, options: Mapping[str, object]) -> Condition:
        """Return the condition.

        Raises:
            LinkMisuse: mode or option are not known; says which are.
        """
        if mode not in MODES:
            raise LinkMisuse(f'mode "{mode}" is not known, only {", ".join(MODES)}')
        for option in options:
            if option not in MODES[mode]:
                known = ", ".join(sorted(MODES[mode])) or "none"
                raise LinkMisuse(f'option "{option}" means nothing to {mode}; it has {known}')
        condition = cls(mode, **options)  # type: ignore[arg-type]
        if condition.passes not in ("requests", "replies"):
            raise LinkMisuse(f'passes "{condition.passes}": use requests or replies')
        return condition

    def options(self) -> dict[str, object]:
        """Return what `of` takes beside the mode."""
        return {name: value for name, value in asdict(self).items() if name in MODES[self.mode]}
