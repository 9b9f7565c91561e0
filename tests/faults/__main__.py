"""`make faults`: everything that is proved by breaking things, one after the other.

run      faults under load for MINUTES, and a report of what became of every event
bugs     each planted bug in a build of its own: the checker must find it
drops    thousands of clients, each cut again and again
reloads  nginx reloaded under thousands of subscribers, again and again
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtest.bench.gateway.drops import drops
from loadtest.bench.gateway.reloads import reloads
from loadtest.bench.table import Table
from stack.errors import StackError
from stack.output import say
from tests.faults.bugs import controls, hunt_all, table_of
from tests.faults.plan import Plan
from tests.faults.planted_bugs import PLANTED_BUGS
from tests.faults.reporting.report import summary_lines, table_as_markdown, write_page
from tests.faults.run import run
from tests.faults.stage.system import System

DEFAULT_MINUTES = 10.0
REPORT_FOLDER = Path(".faults")


def main(arguments: Sequence[str]) -> int:
    """Do what is asked for.

    Returns:
        The exit status: 0 when nothing was found, 1 when something was or could not be started.
    """
    asked = _parser().parse_args(arguments)
    # What is mounted and started is taken down again, also where a shell has SIGINT ignored.
    signal.signal(signal.SIGTERM, _stop)
    asked.folder.mkdir(parents=True, exist_ok=True)
    passed = True
    try:
        for name in asked.only or PROOFS:
            passed = PROOFS[name](asked) and passed
    except StackError as error:
        print(f"make faults: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make faults: stopped before its end; no verdict", file=sys.stderr)
        return 130
    return 0 if passed else 1


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _run(asked: argparse.Namespace) -> bool:
    say(f"fault run: {asked.minutes:g} minutes, seed {asked.seed}")
    plan = Plan(asked.seed, asked.minutes * 60, readers=asked.readers)
    with System(keep=asked.keep) as system:
        report = run(plan, system)
        system.keep = asked.keep or bool(report.verdict.findings)
        if system.keep:
            say(f"its logs stay in {system.places.state / 'logs'}")
    page = asked.folder / "report.html"
    write_page(report, page)
    (asked.folder / "table.md").write_text(table_as_markdown(report), encoding="utf-8")
    for line in summary_lines(report):
        say(line)
    say(f"the page: {page.resolve()}")
    return not report.verdict.findings


def _bugs(asked: argparse.Namespace) -> bool:
    say(f"planted bugs: {len(PLANTED_BUGS)}, each in a build of its own, seed {asked.seed}")
    hunts = hunt_all(asked.seed)
    (asked.folder / "bugs.md").write_text(table_of(hunts), encoding="utf-8")
    found = sum(hunt.is_found for hunt in hunts)
    say(f"{found} of {len(hunts)} planted bugs were found")
    return controls(asked.seed) and found == len(hunts)


def _drops(asked: argparse.Namespace) -> bool:
    return _show(drops(asked.seed, asked.clients), asked.folder / "drops.md")


def _reloads(asked: argparse.Namespace) -> bool:
    return _show(reloads(asked.subscribers, asked.reloads), asked.folder / "reloads.md")


def _show(table: Table, file: Path) -> bool:
    print(table, flush=True)
    file.write_text(table.markdown(), encoding="utf-8")
    return table.is_met


PROOFS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "bugs": _bugs,
    "run": _run,
    "drops": _drops,
    "reloads": _reloads,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "only", nargs="*", choices=[[], *PROOFS], metavar="PROOF", help="default: all of them"
    )
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="keep logs and data")
    parser.add_argument("--clients", type=int, default=10_000, help="of drops")
    parser.add_argument("--subscribers", type=int, default=5_000, help="of reloads")
    parser.add_argument("--reloads", type=int, default=200, help="how many")
    parser.add_argument("--folder", type=Path, default=REPORT_FOLDER, help="for the report")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
