"""Where the packaged programs are found."""

import platform as machine_facts
from pathlib import Path

import pytest

from stack.errors import PlatformMissing
from stack.platform import Platform, debian_release

FILES = (
    "usr/sbin/nginx",
    "usr/bin/redis-server",
    "usr/lib/nginx/modules/ngx_http_push_stream_module.so",
)


def make_system(root: Path, os_release: str, files: tuple[str, ...] = ()) -> Path:
    """Make a folder that looks like a machine's root."""
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text(os_release)
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_debian_13_uses_its_own_packages(tmp_path: Path) -> None:
    system = make_system(tmp_path / "system", 'ID=debian\nVERSION_ID="13"\n', FILES)

    found = Platform.find(tmp_path / "checkout", system)

    assert found.nginx_command == (str(system / "usr/sbin/nginx"),)
    assert found.nginx_modules == system / "usr/lib/nginx/modules"


def test_debian_12_uses_the_private_root_through_its_own_loader(tmp_path: Path) -> None:
    # Debian 12's own nginx is too old, so its presence changes nothing.
    system = make_system(tmp_path / "system", 'ID=debian\nVERSION_ID="12"\n', FILES)
    root = make_system(tmp_path / "checkout/.platform/debian-13", "", FILES)

    found = Platform.find(tmp_path / "checkout", system)

    loader, option, libraries, program = found.redis_server_command
    assert Path(loader).parent == Path(libraries)
    assert libraries.startswith(str(root / "usr/lib"))
    assert (option, program) == ("--library-path", str(root / "usr/bin/redis-server"))
    assert all(path.startswith(str(root)) for path in found.lua_path.split(";"))


@pytest.mark.parametrize("os_release", ['ID=debian\nVERSION_ID="13"\n', "ID=fedora\n"])
def test_what_is_missing_is_named_with_the_next_step(tmp_path: Path, os_release: str) -> None:
    system = make_system(tmp_path / "system", os_release)

    with pytest.raises(PlatformMissing, match="nginx is not installed in .*; run `make setup`"):
        Platform.find(tmp_path / "checkout", system)


@pytest.mark.parametrize(("release", "root"), [("12", ".platform/debian-13-tests"), ("13", "")])
def test_valkey_is_for_tests_and_in_a_root_of_its_own(
    tmp_path: Path, release: str, root: str
) -> None:
    system = make_system(tmp_path, f"ID=debian\nVERSION_ID={release}\n")
    with pytest.raises(PlatformMissing, match="valkey-server is not installed in .*`make test`"):
        Platform.valkey_server_command(tmp_path, system)
    program = tmp_path / root / "usr/bin/valkey-server"
    program.parent.mkdir(parents=True)
    program.touch()

    *runner, found = Platform.valkey_server_command(tmp_path, system)

    assert found == str(program)
    assert len(runner) == (3 if release == "12" else 0)


def test_an_unknown_machine_type_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_facts, "machine", lambda: "riscv64")

    with pytest.raises(PlatformMissing, match="machine type riscv64"):
        Platform.find(tmp_path)


@pytest.mark.parametrize(
    ("os_release", "release"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "12"),
        ("ID=debian\nVERSION_ID=13\n", "13"),
        ('ID=ubuntu\nVERSION_ID="24.04"\n', ""),
        ("", ""),
    ],
)
def test_only_debian_has_a_release(tmp_path: Path, os_release: str, release: str) -> None:
    assert debian_release(make_system(tmp_path / "system", os_release)) == release


def test_a_system_that_does_not_say_what_it_is_has_no_release(tmp_path: Path) -> None:
    assert debian_release(tmp_path) == ""
