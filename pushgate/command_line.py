"""The command `pushgate`: `pushgate ledger` shows the books and checks them."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import redis

from pushgate.auditing import WAIT_SECONDS, Auditor
from pushgate.connection import away, connect
from pushgate.errors import InvalidSetting, PushgateError
from pushgate.gateways import GatewayAddress
from pushgate.keys import Keys
from pushgate.settings import Settings
from pushgate.sheet import Sheet

UNBALANCED = 1
WRONG_USE = 2
"""The exit status after a wrong command line or setting, and when somebody does not answer."""

LONGEST_WAIT_SECONDS = 3600.0

KEY_FILE = "PUSHGATE_PRIVATE_KEY_FILE"


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """What is asked of the books.

    Attributes:
        settings: where Redis is and how the queue in it is cut.
        gateways: to be asked.
        check: whether they must balance.
        as_json: one JSON object, for programs.
        wait_seconds: how long a check waits for what is under way.
    """

    settings: Settings
    gateways: tuple[GatewayAddress, ...] = ()
    check: bool = False
    as_json: bool = False
    wait_seconds: float = WAIT_SECONDS


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message}; {self.prog} --help says more\n")


def add_ledger_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `pushgate ledger` and `manage.py push_ledger` have in common."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="end with 1 and say where when the books do not balance",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.add_argument(
        "--gateway",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="the private listener of a gateway, unix:/path/of/private.sock or http://host:port; "
        "once for each (default unix:PUSHGATE_PRIVATE_SOCKET, else none)",
    )
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="holds the key of gateways asked over TCP (default "
        f"{KEY_FILE}, else PUSHGATE_PRIVATE_KEY is the key)",
    )
    parser.add_argument(
        "--wait",
        default=f"{WAIT_SECONDS:g}",
        metavar="SECONDS",
        help="how long a check waits for what is under way (default %(default)s)",
    )


def gateways_of(
    parsed: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[GatewayAddress, ...]:
    """The gateways that a command line names, or the environment where it is silent.

    Raises:
        InvalidSetting: an address or the key is none.
    """
    named = [str(text) for text in _list(parsed["gateway"])]
    socket = environment.get("PUSHGATE_PRIVATE_SOCKET")
    if not named and socket:
        named = [f"unix:{socket}"]
    key = _key(str(parsed["key_file"] or environment.get(KEY_FILE) or ""), environment)
    return tuple(GatewayAddress.parse(text, key) for text in named)


def wait_of(text: str) -> float:
    """How long a command line says to wait.

    Raises:
        InvalidSetting: it is not a number of seconds.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise InvalidSetting(f"--wait {text!r}: use seconds, 0 to {LONGEST_WAIT_SECONDS:.0f}")
    return seconds


def status_of(sheet: Sheet, check: bool) -> int:
    """The exit status: 2 when somebody could not be asked, 1 when what was checked is wrong."""
    if sheet.away:
        return WRONG_USE
    return UNBALANCED if check and not sheet.balances else 0


def lines_of(sheet: Sheet, as_json: bool) -> Iterator[str]:
    """What is printed."""
    if as_json:
        yield json.dumps(sheet.as_json(), ensure_ascii=False)
    else:
        yield from sheet.lines()


def parse_arguments(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> LedgerOptions:
    """Reads the command line; ends the process with 2 and a sentence when it is wrong."""
    environment = os.environ if environment is None else environment
    parser = _Parser(prog="pushgate", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    ledger = commands.add_parser(
        "ledger",
        help="prints the books by stage; with --check, whether they balance",
        description="Prints the books by stage, gateway and publisher. Ends with 0; with 1 when "
        "--check finds that they do not balance; with 2 when Redis or a gateway does not answer.",
        allow_abbrev=False,
    )
    add_ledger_arguments(ledger)
    ledger.add_argument("--redis", metavar="URL", help="default PUSHGATE_REDIS_URL")
    ledger.add_argument("--namespace", metavar="NAME", help="default PUSHGATE_NAMESPACE")
    ledger.add_argument("--partitions", metavar="N", help="default PUSHGATE_PARTITIONS")
    parsed = parser.parse_args(arguments)
    given = {
        "PUSHGATE_REDIS_URL": parsed.redis,
        "PUSHGATE_NAMESPACE": parsed.namespace,
        "PUSHGATE_PARTITIONS": parsed.partitions,
    }
    told = {name: value for name, value in given.items() if value is not None}
    try:
        return LedgerOptions(
            Settings.from_environment({**environment, **told}),
            gateways_of(vars(parsed), environment),
            parsed.check,
            parsed.json,
            wait_of(parsed.wait),
        )
    except InvalidSetting as error:
        ledger.error(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line says; returns the exit status."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    settings = options.settings
    try:
        keys = Keys(settings.namespace)
        with connect(settings.redis_url) as client:
            auditor = Auditor(client, keys, settings.partitions, options.gateways)
            sheet = auditor.check(options.wait_seconds) if options.check else auditor.read()
    except redis.RedisError as error:
        return _fail(away(error))
    except PushgateError as error:
        return _fail(str(error))
    for line in lines_of(sheet, options.as_json):
        print(line)
    return status_of(sheet, options.check)


def _fail(sentence: str) -> int:
    print(f"pushgate ledger: {sentence}", file=sys.stderr)
    return WRONG_USE


def _key(file: str, environment: Mapping[str, str]) -> str:
    if not file:
        return environment.get("PUSHGATE_PRIVATE_KEY", "")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"--key-file {file}: it cannot be read: {error}") from None


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
