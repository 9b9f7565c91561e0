"""Where nginx, its modules, Redis and the Lua libraries are on this machine.

Debian 13 has them as packages. On Debian 12 `make setup` unpacks the same packages into a private
root, whose programs run through that root's own dynamic loader with that root's own libraries.
"""

import platform as machine_facts
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.errors import PlatformMissing

REPOSITORY = Path(__file__).resolve().parent.parent

# Debian's name of an architecture's library folder, and the dynamic loader in it.
_ARCHITECTURES: Mapping[str, tuple[str, str]] = {
    "x86_64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "aarch64": ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


@dataclass(frozen=True)
class Platform:
    """The commands and folders of Debian 13's packages, wherever they are.

    Attributes:
        nginx_command: starts nginx; options follow.
        redis_server_command: starts Redis; options follow.
        redis_cli_command: starts redis-cli; options follow.
        nginx_modules: the folder of `ndk_http_module.so` and the other modules.
        lua_path: `package.path` of the packaged Lua libraries.
        lua_cpath: `package.cpath` of the packaged Lua libraries.
    """

    nginx_command: tuple[str, ...]
    redis_server_command: tuple[str, ...]
    redis_cli_command: tuple[str, ...]
    nginx_modules: Path
    lua_path: str
    lua_cpath: str

    @classmethod
    def find(cls, repository: Path = REPOSITORY, system_root: Path = Path("/")) -> "Platform":
        """Return Debian 13's own packages where they are installed, else the private root's.

        Raises:
            PlatformMissing: neither is there.
        """
        libraries, _ = _architecture()
        private_root = repository / ".platform" / "debian-13"
        if debian_release(system_root) == "13":
            found = cls._below(system_root, libraries, runner=())
            where = "this Debian 13"
        else:
            found = cls._below(private_root, libraries, _runner_below(private_root))
            where = str(private_root)
        for path in (
            Path(found.nginx_command[-1]),
            Path(found.redis_server_command[-1]),
            found.nginx_modules / "ngx_http_push_stream_module.so",
        ):
            if not path.exists():
                raise PlatformMissing(f"{path.name} is not installed in {where}; run `make setup`")
        return found

    @classmethod
    def valkey_server_command(
        cls, repository: Path = REPOSITORY, system_root: Path = Path("/")
    ) -> tuple[str, ...]:
        """Return what starts Valkey, Redis' twin, which only the tests run; options follow.

        Raises:
            PlatformMissing: it is not there.
        """
        on_debian_13 = debian_release(system_root) == "13"
        root = system_root if on_debian_13 else repository / ".platform" / "debian-13-tests"
        runner = () if on_debian_13 else _runner_below(root)
        program = root / "usr/bin/valkey-server"
        if not program.exists():
            raise PlatformMissing(f"{program.name} is not installed in {root}; run `make test`")
        return (*runner, str(program))

    @classmethod
    def _below(cls, root: Path, libraries: str, runner: tuple[str, ...]) -> "Platform":
        lua = root / "usr/share/lua/5.1"
        jit = root / "usr/share/luajit-2.1"
        return cls(
            nginx_command=(*runner, str(root / "usr/sbin/nginx")),
            redis_server_command=(*runner, str(root / "usr/bin/redis-server")),
            redis_cli_command=(*runner, str(root / "usr/bin/redis-cli")),
            nginx_modules=root / "usr/lib/nginx/modules",
            lua_path=f"{lua}/?.lua;{lua}/?/init.lua;{jit}/?.lua",
            lua_cpath=f"{root / 'usr/lib' / libraries / 'lua/5.1'}/?.so",
        )


def debian_release(system_root: Path = Path("/")) -> str:
    """Return Debian's release number as text (`13`), or "" on any other system."""
    try:
        lines = (system_root / "etc/os-release").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    facts = dict(line.split("=", 1) for line in lines if "=" in line)
    return facts.get("VERSION_ID", "").strip('"') if facts.get("ID") == "debian" else ""


def _runner_below(root: Path) -> tuple[str, ...]:
    """What starts a program of a private root: its own loader, with its own libraries."""
    libraries, loader = _architecture()
    folder = root / "usr/lib" / libraries
    return (str(folder / loader), "--library-path", str(folder))


def _architecture() -> tuple[str, str]:
    machine = machine_facts.machine()
    if machine not in _ARCHITECTURES:
        known = " and ".join(_ARCHITECTURES)
        raise PlatformMissing(f"machine type {machine} is not known, only {known}; use docker/")
    return _ARCHITECTURES[machine]
