"""The gateway: nginx with Lua and the push-stream module, rendered, started in the foreground."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.health import UnixConnection, page_is_served_by
from stack.platform import REPOSITORY, Platform
from stack.process import Process, wait_until


@dataclass(frozen=True)
class GatewaySettings:
    """What a gateway is told.

    Attributes:
        listen: the public `host:port`.
        redis_url: where the log is.
        namespace: whose log.
        origins: origins whose pages may subscribe.
        public_prefixes: channels under these need no token.
        workers: how many processes, or `auto`.
        engine: what fans the frames out.
        token_keys: the file of keys that verify tokens; none, and there are no tokens.
        more: further `PUSHGATE_...` settings of nginx/README.md.
    """

    listen: str
    redis_url: str
    namespace: str = "pushgate"
    origins: tuple[str, ...] = ()
    public_prefixes: tuple[str, ...] = ("thread:", "forum:", "post:", "pushgate:panel")
    workers: str = "auto"
    engine: str = "push_stream"
    token_keys: Path | None = None
    more: Mapping[str, str] = field(default_factory=dict)


def gateway_environment(
    platform: Platform, directory: Path, settings: GatewaySettings
) -> dict[str, str]:
    """Return the `PUSHGATE_...` variables of a gateway that keeps its files in `directory`."""
    return {
        "PUSHGATE_LISTEN": settings.listen,
        "PUSHGATE_STATE_DIR": str(directory),
        "PUSHGATE_PRIVATE_SOCKET": str(directory / "private.sock"),
        "PUSHGATE_REDIS_URL": settings.redis_url,
        "PUSHGATE_NAMESPACE": settings.namespace,
        "PUSHGATE_ORIGINS": " ".join(settings.origins),
        "PUSHGATE_PUBLIC_PREFIXES": " ".join(settings.public_prefixes),
        "PUSHGATE_WORKERS": settings.workers,
        "PUSHGATE_ENGINE": settings.engine,
        "PUSHGATE_TOKEN_KEYS": str(settings.token_keys or ""),
        "PUSHGATE_MODULE_DIR": str(platform.nginx_modules),
        "PUSHGATE_LUA_PATH": platform.lua_path,
        "PUSHGATE_LUA_CPATH": platform.lua_cpath,
        "PUSHGATE_SCRIPTS_DIR": str(REPOSITORY / "pushgate" / "scripts"),
        **settings.more,
    }


def gateway_command(platform: Platform, directory: Path) -> tuple[str, ...]:
    """Return the command that renders the configuration and becomes nginx."""
    start = REPOSITORY / "nginx" / "start.sh"
    return (str(start), str(directory / "nginx"), *platform.nginx_command)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Gateway:
    """A gateway that keeps its configuration, sockets and log in one folder.

    Args:
        directory: its folder; short, for the sockets in it have a path of 107 bytes at the most.
    """

    def __init__(self, platform: Platform, directory: Path, settings: GatewaySettings) -> None:
        self.directory = directory.resolve()
        self.settings = settings
        self.url = f"http://{settings.listen}"
        self.private_socket = self.directory / "private.sock"
        self.log = self.directory / "gateway.log"
        self._process = Process(
            "gateway",
            gateway_command(platform, self.directory),
            log=self.log,
            environment={
                **os.environ,
                **gateway_environment(platform, self.directory, settings),
            },
        )

    @property
    def pid(self) -> int:
        """nginx' master process."""
        return self._process.pid

    @property
    def worker_pids(self) -> list[int]:
        """nginx' worker processes, those that are ending after a reload too."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]

    def private(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request to the private listener and return its answer."""
        connection = UnixConnection(self.private_socket, timeout_seconds=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether the gateway follows the log."""
        return page_is_served_by(self.private_socket, "/readyz")

    def start(self, deadline_seconds: float = 15) -> None:
        """Start nginx and return when it follows the log; raises StackError when it does not."""
        self.launch()
        self._process.wait_until_ready(self.is_ready, deadline_seconds)

    def launch(self) -> None:
        """Start nginx without waiting for Redis."""
        # Who may enter it may publish.
        self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._process.start()

    def wait_until_ready(self, deadline_seconds: float = 15) -> None:
        """Return when the gateway follows the log; raises DeadlineMissed when it does not."""
        wait_until(self.is_ready, deadline_seconds, "the gateway follows the log")

    def stop(self) -> int | None:
        """Stop nginx and return its exit status; do nothing when it was never started."""
        return self._process.stop()

    def kill(self) -> None:
        """Kill the master alone, as a crash would."""
        self._process.kill()
