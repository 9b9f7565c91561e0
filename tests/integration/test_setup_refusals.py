"""What `stack/setup.sh` says when it cannot do its work; its tools are replaced by stand-ins."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stack.platform import REPOSITORY
from stack.process import wait_until

NOBODY = 65534
DEBIAN_12 = "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n"
DEBIAN_13 = "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie\n"

# Says of every package that is asked about that it is installed.
ALL_INSTALLED = 'shift 3; for name in "$@"; do echo "installed $name"; done'


class Checkout:
    """A folder with setup.sh in it and tools that do what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tools = folder / "tools"
        self._tools.mkdir()
        shutil.copytree(REPOSITORY / "stack", folder / "stack")
        (folder / "requirements.lock").write_text("")
        self.tool("dpkg-query", ALL_INSTALLED)
        self.tool("apt-get", "exit 100")
        self.tool("sudo", "exit 1")
        self.system(DEBIAN_12)
        self.command = ("bash", str(folder / "stack/setup.sh"), "run")
        self.environment = {
            **os.environ,
            "PATH": f"{self._tools}:/usr/bin:/bin",
            "OS_RELEASE": str(folder / "os-release"),
            "STATE_DIR": str(folder / "state"),
        }

    def tool(self, name: str, script: str) -> None:
        """Replace a tool by a shell script."""
        file = self._tools / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)

    def system(self, os_release: str) -> None:
        """Say which system this is."""
        (self.folder / "os-release").write_text(os_release)

    def have_environment(self) -> None:
        """Make the Python environment look complete."""
        (self.folder / ".venv/bin").mkdir(parents=True)
        (self.folder / ".venv/bin/python").symlink_to("/bin/true")
        digest = subprocess.run(
            ["sha256sum"], stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        (self.folder / ".venv/installed.lock").write_bytes(digest.stdout)

    def setup(
        self, *, user: int | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run setup.sh."""
        if user is not None and os.geteuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, user, user, follow_symlinks=False)
        return subprocess.run(
            self.command,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            user=user if os.geteuid() == 0 else None,
            check=False,
        )

    def refuse(self, *, user: int | None = None) -> str:
        """Run setup.sh, expect exit status 1 and one line, and return it."""
        ended = self.setup(user=user)
        assert ended.returncode == 1, ended
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert not list(self.folder.glob(".platform/unpacking.*"))
        return ended.stderr


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A checkout on a Debian 12 where all packages are installed."""
    with tempfile.TemporaryDirectory() as folder:
        # A test runs the script as a user without rights.
        Path(folder).chmod(0o755)
        yield Checkout(Path(folder))


def test_another_system_is_told_to_use_containers(checkout: Checkout) -> None:
    checkout.system("ID=fedora\nVERSION_ID=43\n")

    sentence = checkout.refuse()

    assert "this is fedora 43" in sentence
    assert "docker/" in sentence


def test_without_rights_the_missing_packages_are_named(checkout: Checkout) -> None:
    checkout.tool("dpkg-query", "exit 1")

    sentence = checkout.refuse(user=NOBODY)

    assert "neither root nor allowed to use sudo" in sentence
    assert "apt-get install --no-install-recommends ca-certificates" in sentence
    assert "mmdebstrap" in sentence


def test_without_a_network_packages_are_not_installed_and_the_log_is_named(
    checkout: Checkout,
) -> None:
    checkout.tool("dpkg-query", "exit 1")
    checkout.tool("sudo", '[[ $* == "-n true" ]] || { echo "E: no route to host"; exit 100; }')

    sentence = checkout.refuse(user=NOBODY)

    assert "apt-get could not install ca-certificates" in sentence
    assert "is there a network?" in sentence
    assert f"{checkout.folder}/state/logs/setup.log" in sentence
    assert "no route to host" in sentence


def test_a_platform_that_cannot_be_fetched_leaves_nothing_half_made(checkout: Checkout) -> None:
    checkout.have_environment()
    checkout.tool("apt-get", "echo http://mirror.invalid/debian Debian bookworm")
    checkout.tool(
        "mmdebstrap",
        'for word in "$@"; do [[ -d $word ]] && touch "$word/half"; done\n'
        "echo E: no route to host >&2; exit 1",
    )

    sentence = checkout.refuse()

    assert "mmdebstrap could not fetch" in sentence
    assert "is there a network?" in sentence
    assert f"{checkout.folder}/state/logs/setup.log" in sentence
    assert "no route to host" in sentence
    assert not (checkout.folder / ".platform/debian-13").exists()


def test_what_only_the_tests_run_is_fetched_for_them_alone(checkout: Checkout) -> None:
    checkout.have_environment()
    checkout.tool("apt-get", "echo http://mirror.invalid/debian Debian bookworm")
    checkout.tool(
        "mmdebstrap",
        'for word in "$@"; do\n'
        '  [[ $word == --include=* ]] && echo "$word" >>"$STATE_DIR/fetched"\n'
        "  [[ -d $word ]] || continue\n"
        '  libraries="$word/usr/lib/$(uname -m)-linux-gnu"\n'
        '  mkdir -p "$libraries"\n'
        "  for name in ld-linux-x86-64.so.2 ld-linux-aarch64.so.1; do\n"
        '    ln -s /bin/true "$libraries/$name"\n'
        "  done\n"
        "done",
    )
    fetched = checkout.folder / "state/fetched"

    for level, packages in (("run", ["nginx,"]), ("run", []), ("test", ["valkey"]), ("test", [])):
        fetched.unlink(missing_ok=True)
        checkout.command = (*checkout.command[:2], level)
        assert checkout.setup().returncode == 0
        found = fetched.read_text().splitlines() if fetched.exists() else []
        assert len(found) == len(packages), found
        for line, package in zip(found, packages, strict=True):
            assert line.startswith(f"--include={package}")


def test_told_to_stop_it_ends_its_tool_and_leaves_nothing_half_made(checkout: Checkout) -> None:
    checkout.have_environment()
    checkout.tool("apt-get", "echo http://mirror.invalid/debian Debian bookworm")
    checkout.tool(
        "mmdebstrap", "echo $$ > $STATE_DIR/tool.new; mv $STATE_DIR/tool{.new,}; exec sleep 600"
    )
    setup = subprocess.Popen(
        checkout.command,
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    tool = checkout.folder / "state/tool"
    wait_until(tool.exists, 60, "the tool has been started")

    setup.terminate()

    assert "told to stop" in setup.communicate(timeout=30)[1]
    assert not Path(f"/proc/{tool.read_text().strip()}").exists()
    assert not list(checkout.folder.glob(".platform/[!l]*"))


def test_a_host_without_a_debian_mirror_is_told_where_to_name_one(checkout: Checkout) -> None:
    checkout.have_environment()
    checkout.tool("apt-get", "true")

    assert "names no Debian mirror for bookworm" in checkout.refuse()


def test_python_packages_that_cannot_be_fetched_are_fetched_next_time(checkout: Checkout) -> None:
    checkout.system(DEBIAN_13)
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    (checkout.folder / "requirements.lock").write_text(f"django==5.2 --hash=sha256:{'0' * 64}\n")

    ended = checkout.setup(environment=environment)

    assert ended.returncode == 1
    assert "pip could not install requirements.lock" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    (checkout.folder / "requirements.lock").write_text("")
    assert checkout.setup(environment=environment).returncode == 0


def test_a_state_folder_that_cannot_be_written_is_named(checkout: Checkout) -> None:
    (checkout.folder / "state").touch()

    assert "set STATE_DIR to a folder of yours" in checkout.refuse()


def test_a_second_setup_finds_all_done(checkout: Checkout) -> None:
    checkout.system(DEBIAN_13)
    checkout.have_environment()

    ended = checkout.setup()

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
