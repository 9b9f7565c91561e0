"""The environment every part reads alike."""

from __future__ import annotations

import pytest

from pushgate import InvalidSetting, Settings, connect


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        redis_url="redis://127.0.0.1:6379/0", namespace="pushgate", partitions=8
    )


@pytest.mark.parametrize("partitions", ["0", "-1", "many", "", "1025", "8.0"])
def test_a_wrong_number_of_partitions_is_named(partitions: str) -> None:
    with pytest.raises(InvalidSetting, match="PUSHGATE_PARTITIONS"):
        Settings.from_environment({"PUSHGATE_PARTITIONS": partitions})


def test_a_url_that_is_not_redis_is_named() -> None:
    with pytest.raises(InvalidSetting, match="PUSHGATE_REDIS_URL 'http://x'"):
        connect("http://x")
