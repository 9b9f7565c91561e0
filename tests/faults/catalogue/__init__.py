"""Every fault there is, by name."""

from __future__ import annotations

from tests.faults.catalogue import (
    clients,
    clocks,
    crashes,
    data,
    database,
    disks,
    links,
    processes,
)
from tests.faults.catalogue.fault import Fault

CATALOGUE: tuple[Fault, ...] = (
    *processes.FAULTS,
    *crashes.FAULTS,
    *links.FAULTS,
    *data.FAULTS,
    *database.FAULTS,
    *disks.FAULTS,
    *clocks.FAULTS,
    *clients.FAULTS,
)

BY_NAME = {fault.name: fault for fault in CATALOGUE}
