"""`make run` with parts that a fault run can get at: each reaches Redis and the database by a link
of its own, and has a clock of its own.

Started as a process by `tests.faults.stage.system`, which says in FAULTS_ENVIRONMENT (JSON:
part -> names and values) what each part is told beyond the usual.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from stack.parts import Part, table
from stack.platform import Platform
from stack.run import main
from stack.settings import RunSettings

FAULTS_ENVIRONMENT = "FAULTS_ENVIRONMENT"
FORMATTER_PROCESSES = 2
STANDBY = "standby"


def breakable(settings: RunSettings, platform: Platform, redis_port: int) -> Sequence[Part]:
    """Return the parts of `make run`, each told what the harness has for it; the formatter as two
    processes, and a second relay that stands by, so that whoever sleeps finds a successor at work.
    """
    told = json.loads(os.environ[FAULTS_ENVIRONMENT])
    parts = []
    for part in table(settings, platform, redis_port):
        environment = {**part.environment, **told.get(part.name, {})}
        command = part.command
        if part.name == "formatter":
            command = (*command, "--processes", str(FORMATTER_PROCESSES))
        parts.append(replace(part, command=command, environment=environment))
        if part.name == "relay":
            pid_file = settings.state_dir / f"{STANDBY}.pid"
            parts.append(
                Part(STANDBY, command, pid_file.exists, "was started", environment=environment)
            )
    return parts


if __name__ == "__main__":
    sys.exit(main(breakable))
