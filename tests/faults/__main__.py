"""`make faults`: everything that is proved by breaking things, one after the other.

run      faults under load for MINUTES, and a report of what became of every event
bugs     each planted bug in a build of its own: the checker must find it
drops    thousands of clients, each cut again and again
reloads  nginx reloaded under thousands of subscribers, again and again
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from stack.errors import StackError
from stack.output import say
from tests.faults.report import summary_lines, table_as_markdown, write_page
from tests.faults.run import Plan, run
from tests.faults.system import System

DEFAULT_MINUTES = 10.0
REPORT_FOLDER = Path(".faults")


def main(arguments: Sequence[str]) -> int:
    """Do what is asked for.

    Returns:
        The exit status: 0 when nothing was found, 1 when something was or could not be started.
    """
    asked = _parser().parse_args(arguments)
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


PROOFS: dict[str, Callable[[argparse.Namespace], bool]] = {"run": _run}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *PROOFS], help="default: all of them")
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="keep logs and data")
    parser.add_argument("--folder", type=Path, default=REPORT_FOLDER, help="for the report")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
