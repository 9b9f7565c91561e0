"""Clients who come all at once and behave badly. Slow readers are among the crowd all the time."""

from __future__ import annotations

from random import Random

from tests.faults.breaking.clients import Flood, FloodSettings
from tests.faults.catalogue.fault import CLIENTS, Fault, Ground

_NAME = "gateway: a flood of clients"


def _flood(ground: Ground, random: Random) -> None:
    settings = FloodSettings(
        port=ground.system.gateway_port,
        path=f"/sub/{random.choice(ground.channels)}",
        clients=random.randint(100, 400),
        seconds=random.uniform(1, 4),
        seed=random.randrange(2**31),
    )
    flood = Flood(ground.system.places.root, settings, f"flood-{settings.seed}")
    flood.start()
    count = flood.wait()
    ground.notes[_NAME] = f"{count.clients} clients, {count.answers.get('200', 0)} let in"


FAULTS = (Fault(_NAME, CLIENTS, _flood, weight=2),)
