"""What `make run` reads from its environment."""

import socket
from pathlib import Path

import dj_database_url
import pytest

from stack.errors import StackError
from stack.settings import RunSettings


def test_the_defaults_are_those_of_the_readme(tmp_path: Path) -> None:
    settings = RunSettings.from_environment({}, tmp_path)

    assert settings.state_dir == tmp_path / ".run"
    assert settings.site_url == "http://127.0.0.1:8000/"
    assert settings.gateway_url == "http://127.0.0.1:8080"
    assert settings.core.namespace == "pushgate"


def test_an_empty_variable_counts_as_none(tmp_path: Path) -> None:
    empty = {"SITE_PORT": "", "GATEWAY_PORT": "", "STATE_DIR": "", "DATABASE_URL": ""}

    assert RunSettings.from_environment(empty, tmp_path) == RunSettings.from_environment(
        {}, tmp_path
    )


def test_a_relative_state_folder_lies_in_the_checkout(tmp_path: Path) -> None:
    settings = RunSettings.from_environment({"STATE_DIR": "one/../two"}, tmp_path)

    assert settings.state_dir == tmp_path / "two"


@pytest.mark.parametrize("name", ["state", "100%", "a+b@c=d,e"])
def test_the_database_lies_in_the_state_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    settings = RunSettings.from_environment({"STATE_DIR": name}, tmp_path)

    database = dj_database_url.parse(settings.database_url)

    assert database["NAME"] == str(tmp_path / name / "site.sqlite3")


def test_a_database_named_by_the_user_is_taken(tmp_path: Path) -> None:
    url = "postgres://site@127.0.0.1/site"

    assert RunSettings.from_environment({"DATABASE_URL": url}, tmp_path).database_url == url


@pytest.mark.parametrize("name", ["with space", "half;way", "$HOME", "caf\u00e9"])
def test_a_state_folder_that_nginx_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StackError, match="may be in its path"):
        RunSettings.from_environment({"STATE_DIR": name}, tmp_path)


@pytest.mark.parametrize("partitions", ["0", "1025", "many"])
def test_a_number_of_partitions_out_of_range_is_refused(tmp_path: Path, partitions: str) -> None:
    with pytest.raises(StackError, match="PUSHGATE_PARTITIONS"):
        RunSettings.from_environment({"PUSHGATE_PARTITIONS": partitions}, tmp_path)


def test_a_port_taken_on_all_addresses_counts_as_taken(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        port = listener.getsockname()[1]

        with pytest.raises(StackError, match=f"port {port} is in use"):
            RunSettings(tmp_path, site_port=port).check_ports()
