"""What can be said of docker/ without building anything; `make test-images` does the rest."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from stack.platform import Platform
from stack.redis_server import redis_command

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKER = ROOT / "docker"
COMPOSE = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package of a lock with its version and hashes."""
    packages = {}
    for entry in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").strip()):
        name, version = entry.split()[0].split("==")
        packages[name] = (version, frozenset(re.findall(r"sha256:[0-9a-f]{64}", entry)))
    return packages


def services() -> dict[str, str]:
    """The text of each service in compose.yaml."""
    text = COMPOSE.split("\nservices:\n")[1].split("\nvolumes:\n")[0]
    return dict(re.findall(r"^  (\w+):\n((?:    .*\n|  #.*\n|\n)+)", text, re.MULTILINE))


def directives(configuration: str) -> dict[str, str]:
    """Each directive of a redis.conf with its value."""
    lines = (line.split(maxsplit=1) for line in configuration.splitlines() if line.strip())
    return {words[0]: words[1] for words in lines if words[0] != "#"}


@pytest.mark.parametrize(
    ("image", "extras"), [("site", ["django", "site"]), ("formatter", ["formatter"])]
)
def test_an_images_packages_are_those_of_the_lock(image: str, extras: list[str]) -> None:
    everything = locked(ROOT / "requirements.lock")
    packages = locked(DOCKER / image / "requirements.txt")
    for name, package in packages.items():
        assert package == everything[name], f"{name}: docker/README.md says how to renew the file"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    assert {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted} <= packages.keys()


def test_there_is_a_service_for_every_part() -> None:
    parts = ["postgres", "redis", "migrate", "relay", "formatter", "gateway", "site"]
    assert sorted(services()) == sorted(parts)
    for name, text in services().items():
        assert ("healthcheck:" in text) == (name != "migrate"), name


def test_every_service_is_built_from_a_target_of_the_dockerfile() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    built = re.findall(r"target: (\w+)", COMPOSE)
    assert len(built) == 6
    assert set(built) <= targets


def test_no_secret_is_written_into_the_compose_file() -> None:
    secrets = re.findall(r"^\s+(\w*(?:PASSWORD|SECRET|KEY)\w*): (.*)$", COMPOSE, re.MULTILINE)
    assert secrets
    for name, value in secrets:
        assert re.fullmatch(rf"\$\{{{name}:-(for-development-only)?\}}", value), name


def test_the_readme_lists_every_setting_of_the_compose_file() -> None:
    readme = (DOCKER / "README.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\$\{(\w+):-", re.sub("#.*", "", COMPOSE)))
    assert names
    assert {name for name in names if f"`{name}`" not in readme} == set()


def test_everything_the_dockerfile_copies_reaches_the_build() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", DOCKERFILE, re.MULTILINE)
    paths = [path for line in copied for path in line.split()]
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] in allowed, path


def test_redis_keeps_its_data_as_make_run_does(tmp_path: Path) -> None:
    anywhere = Path("/usr/bin/redis-server")
    platform = Platform((), (str(anywhere),), (), anywhere.parent, "", "")
    redis_command(platform, tmp_path, 6379)
    of_make_run = directives((tmp_path / "redis.conf").read_text(encoding="utf-8"))
    of_image = directives((DOCKER / "redis/redis.conf").read_text(encoding="utf-8"))
    for name in ("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy"):
        assert of_image[name] == of_make_run[name], name
