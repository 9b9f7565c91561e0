"""The house stands as ARCHITECTURE.md draws it: rules that no import checker can see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushgate.keys import Keys
from pushgate.scripts import script_text
from tests.gateway.conftest import ENGINES

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("pushgate", "django_hooks", "formatter", "example_site", "loadtest", "stack")
FORBIDDEN_NAMES = {"utils", "common", "misc", "base", "helpers", "helper", "manager", "managers"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def sources(*folders: str, ending: str = ".py") -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in tracked_files() if is_below(path, folder, ending))


def is_below(path: Path, folder: str, ending: str) -> bool:
    return path.is_relative_to(ROOT / folder) and path.suffix == ending


def test_the_top_level_is_the_house() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert top >= {
        *PARTS,
        *("nginx", "lua", "docker", "tests"),
        *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml"),
    }


def test_imports_run_one_way() -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_no_file_is_named_after_nothing() -> None:
    for path in sources(*PARTS, "tests"):
        assert path.stem not in FORBIDDEN_NAMES, path


@pytest.mark.parametrize("language", ["python", "lua"])
def test_redis_keys_are_spelled_in_one_file_for_each_language(language: str) -> None:
    spelled = re.compile(r"""["'{}]:?(jobs|lease|channel|put):["'%{]|\}:(log|epoch|ledger|relay)""")
    if language == "python":
        home, files = ROOT / "pushgate/keys.py", sources(*PARTS)
    else:
        home, files = ROOT / "lua/pushgate/keys.lua", sources("lua", ending=".lua")
    assert home.exists()
    assert [path for path in files if path != home and spelled.search(path.read_text())] == []


def test_one_lua_file_knows_the_redis_client() -> None:
    client = re.compile(r"""["'](nginx|resty)\.redis["']""")
    found = [path.name for path in sources("lua", ending=".lua") if client.search(path.read_text())]
    assert found == ["redis.lua"]


def test_the_nginx_configuration_holds_no_lua_of_its_own() -> None:
    for path in tracked_files():
        if path.is_relative_to(ROOT / "nginx"):
            blocks = re.findall(r"_by_lua_block\s*\{([^}]*)\}", path.read_text())
            for block in blocks:
                assert block.count("\n") <= 2, f"{path}: one call a phase, no logic: {block}"


def test_every_engine_has_its_lua_and_its_configuration() -> None:
    home = ROOT / "lua/pushgate/engine"
    own = list(sources("lua/pushgate/engine", ending=".lua"))
    lua = {path.stem for path in own if path.parent == home}
    assert {path.parent.name for path in own if path.parent != home} <= lua
    configuration = {path.parent.name for path in sources("nginx/engines", ending=".conf")}
    assert lua == configuration == set(ENGINES)


def test_only_the_engine_knows_its_name() -> None:
    """But for the files where one is chosen."""
    chosen_in = {ROOT / "lua/pushgate/config.lua", ROOT / "lua/pushgate/engine.lua"}
    homes = (ROOT / "lua/pushgate/engine", ROOT / "nginx/engines")
    names = "|".join(ENGINES)
    named = re.compile(rf"""["'/.=_]({names})\b|\b({names})_|_({names})_""")
    for path in [*sources("lua", ending=".lua"), *sources("nginx", ending=".conf")]:
        if path not in chosen_in and not any(path.is_relative_to(home) for home in homes):
            assert not named.search(path.read_text()), path


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_does_all_that_is_asked_of_it(engine: str) -> None:
    contract = (ROOT / "lua/pushgate/engine.lua").read_text()
    wanted = re.findall(r"^--   (?:link:)?(\w+)\(", contract, re.MULTILINE)
    assert {"admit", "hand_over", "statistics"} <= set(wanted)
    text = (ROOT / f"lua/pushgate/engine/{engine}.lua").read_text()
    has = set(re.findall(r"^function _M[.:](\w+)\(", text, re.MULTILINE))
    assert set(wanted) - has == set()


def test_gevent_patches_in_main_only() -> None:
    for path in sources("formatter"):
        assert ("patch_all" in path.read_text()) == (path.name == "__main__.py"), path


def test_importing_a_part_does_nothing() -> None:
    """No connection, no thread, no patch; a wrong environment is noticed by who reads it."""
    script = (
        "import socket, threading\n"
        "import pushgate, formatter, formatter.worker, formatter.mixins\n"
        "assert threading.active_count() == 1\n"
        "assert socket.socket.__module__ == 'socket', 'patched at import'\n"
    )
    wrong = {**os.environ, "PUSHGATE_PARTITIONS": "many", "PUSHGATE_REDIS_URL": "nowhere"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=wrong, check=True)


def test_every_key_a_script_gets_carries_the_namespaces_hash_tag() -> None:
    keys = Keys("some-site")
    for name, value in vars(keys).items():
        if name != "namespace":
            assert value.startswith("{some-site}:"), name


def test_every_script_says_its_keys_and_its_answer() -> None:
    for path in sources("pushgate/scripts", ending=".lua"):
        text = script_text(path.stem)
        assert text.startswith(f"-- {path.stem}: "), path
        if "included by" not in text.split("\n")[0]:
            assert "-- KEYS: " in text, path
            assert "-- Returns " in text, path


def test_the_repository_speaks_of_itself_alone() -> None:
    address = re.compile(r"https?://(?!127\.0\.0\.1|localhost|example\.|www\.w3\.org)[\w.-]+")
    for name in ("Makefile", "requirements.lock", "stack/setup.sh"):
        assert address.findall((ROOT / name).read_text()) == [], name
