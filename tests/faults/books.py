"""The books of a system, checked as an operator does it."""

from __future__ import annotations

import subprocess
import time

from tests.faults.evidence import Finding, Kind
from tests.faults.stage.system import System

_WORDS = 3_000


def unbalanced(system: System) -> list[Finding]:
    """Have the books checked, and return what is wrong with them."""
    gateway = f"unix:{system.places.state / 'gateway' / 'private.sock'}"
    at = time.monotonic()
    try:
        ended = system.manage("django", "push_ledger", "--check", "--gateway", gateway)
    except subprocess.TimeoutExpired as error:
        return [Finding(Kind.UNBALANCED, at, f"push_ledger --check does not end: {error}")]
    if ended.returncode == 0:
        return []
    said = (ended.stdout + ended.stderr).strip()[-_WORDS:]
    return [Finding(Kind.UNBALANCED, at, f"push_ledger --check says: {said}")]
