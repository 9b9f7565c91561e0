"""Links between two parts, or to the readers, that are slow, cut, half open, or lie."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.faults.catalogue.fault import LINKS, Fault, Ground
from tests.faults.stage.system import LINK_NAMES

Break = Callable[[Ground, str, Random], None]


# What a link's most delicate request has in it: a finish, a forward, a commit.
_MATTERS = {
    "formatter-redis": "published",
    "relay-redis": "}:relay",
    "site-database": "COMMIT",
}


def _slow(ground: Ground, link: str, random: Random) -> None:
    latency = random.uniform(0.05, 0.6)
    ground.links.set(
        link, "slow", latency_seconds=latency, jitter_seconds=latency / 2, bytes_per_second=200_000
    )
    ground.wait(random.uniform(1, 4))


def _cut(ground: Ground, link: str, random: Random) -> None:
    ground.links.set(link, "cut")
    ground.wait(random.uniform(0, 4))


def _half_open(ground: Ground, link: str, random: Random) -> None:
    """As when a machine between the two has lost its memory of them, and says nothing."""
    ground.links.set(link, "half_open")
    ground.wait(random.uniform(1, 8))


def _lose_replies(ground: Ground, link: str, random: Random) -> None:
    """What was asked for is done, and who asked does not know."""
    for _ in range(3):
        ground.links.set(
            link, "lose_replies", count=random.randint(1, 4), containing=_MATTERS.get(link, "")
        )
        ground.wait(random.uniform(0.2, 0.6))


def _lie(ground: Ground, link: str, random: Random) -> None:
    """What is asked for does not arrive, answers break off or vanish, bytes come one by one."""
    mode = random.choice(("lose_requests", "truncate", "one_way", "split"))
    ground.notes[f"link {link}: lying"] = mode
    if mode in ("lose_requests", "truncate"):
        ground.links.set(link, mode, count=random.randint(1, 4))
    elif mode == "one_way":
        ground.links.set(link, mode, passes=random.choice(("requests", "replies")))
    else:
        ground.links.set(link, mode)
    ground.wait(random.uniform(0.5, 4))


_WAYS: tuple[tuple[str, Break], ...] = (
    ("slow", _slow),
    ("cut", _cut),
    ("half-open", _half_open),
    ("replies lost", _lose_replies),
    ("lying", _lie),
)


def _inject(link: str, way: Break) -> Callable[[Ground, Random], None]:
    def inject(ground: Ground, random: Random) -> None:
        try:
            way(ground, link, random)
        finally:
            ground.links.heal(link)

    return inject


FAULTS = tuple(
    Fault(f"link {link}: {name}", LINKS, _inject(link, way), weight=0.7)
    for link in LINK_NAMES
    for name, way in _WAYS
)
