"""What a load test is told."""

from __future__ import annotations

import resource

import pytest

from loadtest.errors import LoadTestError
from loadtest.settings import LoadSettings


def test_without_a_word_it_is_500_readers_on_20_threads_and_10_commenters_for_a_minute() -> None:
    settings = LoadSettings.from_environment({})

    assert (settings.readers, settings.threads) == (500, 20)
    assert (settings.commenters, settings.seconds) == (10, 60)


def test_the_command_line_wins_over_the_environment() -> None:
    environment = {"READERS": "7", "SECONDS": "2.5", "THREADS": ""}

    settings = LoadSettings.from_arguments(["--readers", "9"], environment)

    assert (settings.readers, settings.seconds, settings.threads) == (9, 2.5, 20)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"READERS": "many"}, "READERS 'many': use a whole number"),
        ({"READERS": "1.5"}, "READERS '1.5': use a whole number"),
        ({"THREADS": "0"}, "THREADS 0: use a number above 0"),
        ({"SECONDS": "-1"}, "SECONDS -1.0: use a number above 0"),
        ({"SECONDS": "inf"}, "SECONDS inf: use a number above 0"),
        ({"SECONDS": "nan"}, "SECONDS nan: use a number above 0"),
        ({"RESUMING_PERCENT": "101"}, "RESUMING_PERCENT 101.0: use 0 to 100"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(LoadTestError, match=sentence):
        LoadSettings.from_environment(environment)


def test_more_readers_than_open_files_allowed_are_refused() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    with pytest.raises(LoadTestError, match=f"{hard} open files"):
        LoadSettings(readers=hard).allow_descriptors()
