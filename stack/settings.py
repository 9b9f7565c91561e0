"""What `make run` can be told by environment variables, checked before anything is started."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pushgate.errors import InvalidSetting
from pushgate.settings import Settings as CoreSettings
from stack.errors import StackError
from stack.platform import REPOSITORY

# A unix socket's path has 107 bytes at most; the longest name put behind the folder's is
# `/supervisor.sock.<pid>`.
_STATE_DIR_BYTES = 107 - len("/supervisor.sock.1234567")
# nginx/render.sh writes the folder's name into nginx' configuration as it is.
_FOLDER = re.compile(r"[A-Za-z0-9._/@%+=,-]+")


@dataclass(frozen=True)
class RunSettings:
    """Where the parts listen and keep their files.

    Attributes:
        state_dir: `STATE_DIR`, absolute; default `.run` in the checkout.
        site_port: `SITE_PORT`, of 127.0.0.1.
        gateway_port: `GATEWAY_PORT`, of 127.0.0.1.
        database_url: `DATABASE_URL`; default a SQLite file in the state folder.
        core: namespace and partitions (`PUSHGATE_NAMESPACE`, `PUSHGATE_PARTITIONS`).
    """

    state_dir: Path
    site_port: int = 8000
    gateway_port: int = 8080
    database_url: str = ""
    core: CoreSettings = field(default_factory=CoreSettings)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], repository: Path = REPOSITORY
    ) -> "RunSettings":
        """Read the settings.

        Raises:
            StackError: a value cannot be used.
        """
        # An empty value counts as none: `SITE_PORT= make run`.
        state_dir = Path(os.path.abspath(repository / (environment.get("STATE_DIR") or ".run")))
        if len(os.fsencode(state_dir)) > _STATE_DIR_BYTES:
            raise StackError(
                f"STATE_DIR {state_dir}: longer than {_STATE_DIR_BYTES} bytes, which leaves no "
                "room for a unix socket's name in it; set STATE_DIR to a shorter path"
            )
        if not _FOLDER.fullmatch(str(state_dir)):
            raise StackError(
                f"STATE_DIR {state_dir}: only A-Z a-z 0-9 and . _ / @ % + = , - may be in its "
                "path, which nginx must read; set STATE_DIR to another"
            )
        default_database = f"sqlite:///{quote(str(state_dir / 'site.sqlite3'))}"
        try:
            core = CoreSettings.from_environment(environment)
        except InvalidSetting as error:
            raise StackError(str(error)) from None
        settings = cls(
            state_dir=state_dir,
            site_port=_port(environment, "SITE_PORT", 8000),
            gateway_port=_port(environment, "GATEWAY_PORT", 8080),
            database_url=environment.get("DATABASE_URL") or default_database,
            core=core,
        )
        if settings.site_port == settings.gateway_port:
            raise StackError(
                f"SITE_PORT and GATEWAY_PORT are both {settings.site_port}; give each its own"
            )
        return settings

    @property
    def site_url(self) -> str:
        """The site's address for a browser on this machine."""
        return f"http://127.0.0.1:{self.site_port}/"

    @property
    def site_origins(self) -> tuple[str, ...]:
        """The origins under which a browser on this machine may have opened the site."""
        return tuple(f"http://{host}:{self.site_port}" for host in ("127.0.0.1", "localhost"))

    @property
    def gateway_url(self) -> str:
        """The gateway's address for a browser on this machine."""
        return f"http://127.0.0.1:{self.gateway_port}"

    def check_ports(self) -> None:
        """Return when both ports can be listened on.

        Raises:
            StackError: one cannot; names it and the variable that moves it.
        """
        for variable, port in (("SITE_PORT", self.site_port), ("GATEWAY_PORT", self.gateway_port)):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except PermissionError:
                    reason = f"port {port} is for root alone"
                except OSError:
                    reason = f"port {port} is in use by another program"
                else:
                    continue
            raise StackError(
                f"{reason}; stop it or choose another: {variable}={max(port, 1024) + 1} make run"
            )


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise StackError(f"{variable} {text!r}: use a port number from 1 to 65535")
    return int(text)
