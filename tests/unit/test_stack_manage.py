"""A management command on the parts of `make run`: where it finds them."""

from pathlib import Path

import pytest

from stack.errors import StackError
from stack.manage import main, redis_port


def test_it_uses_the_redis_that_ran_there(tmp_path: Path):
    (tmp_path / "redis.port").write_text("1234\n")
    assert redis_port(tmp_path) == 1234


@pytest.mark.parametrize("content", [None, "", "x"])
def test_without_a_run_it_says_to_start_one(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "redis.port").write_text(content)
    with pytest.raises(StackError, match="`make run` first"):
        redis_port(tmp_path)


def test_a_setting_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SITE_PORT", "x")
    assert main(["check"]) == 1
    assert capsys.readouterr().err == (
        "make manage: SITE_PORT 'x': use a port number from 1 to 65535\n"
    )
