"""What may stand on the command line, and the sentence for what may not."""

from __future__ import annotations

import pytest

from formatter.command_line import Options, parse_arguments
from formatter.metrics_server import Address

NEEDED = ("--pipelines", "mysite.pipelines")


def test_a_command_line_without_a_command_runs() -> None:
    assert parse_arguments(NEEDED, {}) == Options("run", "mysite.pipelines")


@pytest.mark.parametrize("command", ["run", "describe", "check-config"])
def test_a_command_stands_where_one_likes(command: str) -> None:
    expected = Options(command, "mysite.pipelines", processes=2)
    assert parse_arguments([command, *NEEDED, "--processes", "2"], {}) == expected
    assert parse_arguments([*NEEDED, command, "--processes", "2"], {}) == expected
    assert parse_arguments([*NEEDED, "--processes", "2", command], {}) == expected


def test_the_environment_says_what_the_command_line_does_not() -> None:
    environment = {"PUSHGATE_METRICS": "0.0.0.0:9464", "PUSHGATE_LOG": "json"}
    assert parse_arguments(NEEDED, environment) == Options(
        "run", "mysite.pipelines", metrics=Address("0.0.0.0", 9464), log="json"
    )
    assert parse_arguments(
        [*NEEDED, "--metrics", "127.0.0.1:1000", "--log", "text"], environment
    ) == Options("run", "mysite.pipelines", metrics=Address("127.0.0.1", 1000))
    assert parse_arguments([*NEEDED, "--metrics", ""], environment).metrics is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--pipelines is missing: name the module that has the pipelines"),
        (
            [*NEEDED, "descrbe"],
            "there is no command 'descrbe': use run, describe, check-config",
        ),
        ([*NEEDED, "--processes", "0"], "--processes 0: use 1 to 256"),
        ([*NEEDED, "--processes", "257"], "--processes 257: use 1 to 256"),
        (
            [*NEEDED, "--processes", "many"],
            "--processes 'many': use a whole number from 1 to 256",
        ),
        ([*NEEDED, "--processes=-1"], "--processes '-1': use a whole number from 1 to 256"),
        ([*NEEDED, "--log", "xml"], "--log 'xml': use text or json"),
        ([*NEEDED, "--metrics", "9464"], "--metrics '9464': use HOST:PORT, 127.0.0.1:9464 say"),
        ([*NEEDED, "--metrics", "::0"], "--metrics '::0': use HOST:PORT, 127.0.0.1:9464 say"),
        (
            [*NEEDED, "--metrics", "localhost:70000"],
            "--metrics 'localhost:70000': use a port from 1 to 65535",
        ),
        (
            [*NEEDED, "--metrics", "localhost:65530", "--processes", "8"],
            "--metrics localhost:65530: 8 processes need ports up to 65537",
        ),
        ([*NEEDED, "--proc", "2"], "unrecognized arguments: --proc"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments, {})
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"formatter: {sentence}")
    assert line.endswith("; python -m formatter --help says more")
