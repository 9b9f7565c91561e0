"""What may stand on the command line of `pushgate ledger`, and the sentence for what may not."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from pushgate import Settings
from pushgate.command_line import LedgerOptions, main, parse_arguments
from pushgate.gateways import GatewayAddress
from stack.platform import REPOSITORY


def test_the_console_script_is_the_module() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, name = project["project"]["scripts"]["pushgate"].partition(":")
    assert getattr(importlib.import_module(module), name) is main


def test_nothing_but_the_command_shows_the_books() -> None:
    assert parse_arguments(["ledger"], {}) == LedgerOptions(Settings())


def test_the_environment_says_what_the_command_line_does_not(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("of-the-file\n", encoding="utf-8")
    environment = {
        "PUSHGATE_REDIS_URL": "redis://elsewhere:6379/0",
        "PUSHGATE_NAMESPACE": "tenant",
        "PUSHGATE_PARTITIONS": "3",
        "PUSHGATE_PRIVATE_SOCKET": "/run/private.sock",
        "PUSHGATE_PRIVATE_KEY": "of-the-environment",
    }
    options = parse_arguments(["ledger"], environment)
    assert options.settings == Settings("redis://elsewhere:6379/0", "tenant", 3)
    socket = GatewayAddress("unix:/run/private.sock", path="/run/private.sock")
    assert options.gateways == (socket,)
    told = ["ledger", "--redis", "redis://here/0", "--namespace", "mine", "--partitions", "5"]
    told += ["--gateway", "http://10.0.0.1:8081", "--gateway", "http://[::1]/"]
    options = parse_arguments(told, environment)
    assert options.settings == Settings("redis://here/0", "mine", 5)
    assert [(g.host, g.port, g.key) for g in options.gateways] == [
        ("10.0.0.1", 8081, "of-the-environment"),
        ("::1", 80, "of-the-environment"),
    ]
    options = parse_arguments([*told, "--key-file", str(key)], environment)
    assert {gateway.key for gateway in options.gateways} == {"of-the-file"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["books"], "invalid choice: 'books'"),
        (["ledger", "--gateway", "unix:"], "gateway 'unix:': use unix:/path/of/private.sock or"),
        (["ledger", "--gateway", "/run/private.sock"], "use unix:/path/of/private.sock or http"),
        (["ledger", "--gateway", "https://a:1"], "gateway 'https://a:1': use unix:"),
        (["ledger", "--gateway", "http://a:port"], "gateway 'http://a:port': use unix:"),
        (["ledger", "--gateway", "http://a/b"], "gateway 'http://a/b': use unix:"),
        (["ledger", "--key-file", "/no/such"], "--key-file /no/such: it cannot be read"),
        (["ledger", "--wait", "soon"], "--wait 'soon': use seconds, 0 to 3600"),
        (["ledger", "--wait", "-1"], "--wait '-1': use seconds, 0 to 3600"),
        (["ledger", "--wait", "nan"], "--wait 'nan': use seconds, 0 to 3600"),
        (["ledger", "--partitions", "many"], "PUSHGATE_PARTITIONS 'many': use a whole number"),
        (["ledger", "--partitions", "0"], "PUSHGATE_PARTITIONS 0: use 1 to 1024"),
        (["ledger", "--chek"], "unrecognized arguments: --chek"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments, {})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("pushgate")
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_a_key_that_is_none_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(
            ["ledger", "--gateway", "http://a:1"], {"PUSHGATE_PRIVATE_KEY": "two\nlines"}
        )
    said = capsys.readouterr().err
    assert "the gateways' key: use 1-512 visible characters of ASCII" in said
    assert "lines" not in said
