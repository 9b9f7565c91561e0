"""The parts of a running Pushgate, in the order they start; they stop in the opposite order.

This is the one place that says what `make run` runs.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pushgate.keys import Keys
from pushgate.leases import RELAY
from stack.gateway import GatewaySettings, gateway_command, gateway_environment
from stack.health import keys_exist, page_is_served, page_is_served_by, redis_is_ours
from stack.platform import REPOSITORY, Platform
from stack.redis_server import redis_command
from stack.settings import RunSettings

NAMES = ("redis", "gateway", "formatter", "relay", "site")


@dataclass(frozen=True)
class Part:
    """One part as a process.

    Attributes:
        name: one of `NAMES`; names its pid file and its log too.
        command: runs in the foreground, in the checkout's root.
        healthy: whether it does its work now.
        healthy_means: the same in words, after the part's name: `answers PING`.
        environment: what it is told beyond the common environment.
        answers: whether it lives, though it may not do its work; a part that does not for long is
            killed, and so started again. None: its process alone says so.
        before: commands that must end well before it is started.
        stop_seconds: how long it may take to stop before it is killed.
    """

    name: str
    command: tuple[str, ...]
    healthy: Callable[[], bool]
    healthy_means: str
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: Callable[[], bool] | None = None
    before: tuple[tuple[str, ...], ...] = ()
    stop_seconds: int = 10


def common_environment(settings: RunSettings, redis_url: str) -> dict[str, str]:
    """Return what every part is told."""
    return {
        "PUSHGATE_REDIS_URL": redis_url,
        "PUSHGATE_NAMESPACE": settings.core.namespace,
        "PUSHGATE_PARTITIONS": str(settings.core.partitions),
        "GATEWAY_URL": settings.gateway_url,
        "SITE_PORT": str(settings.site_port),
        "STATE_DIR": str(settings.state_dir),
        "DATABASE_URL": settings.database_url,
        "DJANGO_SETTINGS_MODULE": "example_site.settings",
        "PYTHONUNBUFFERED": "1",
    }


def table(settings: RunSettings, platform: Platform, redis_port: int) -> tuple[Part, ...]:
    """Return the parts, first to start first; writes their configuration into the state folder."""
    state_dir = settings.state_dir
    redis_url = f"redis://127.0.0.1:{redis_port}/0"
    keys = Keys(settings.core.namespace)
    partition_leases = [keys.lease(str(number)) for number in range(settings.core.partitions)]
    redis_files = state_dir / "redis"
    gateway_files = state_dir / "gateway"
    # Who may enter it may publish.
    gateway_files.mkdir(mode=0o750, parents=True, exist_ok=True)
    return (
        Part(
            name="redis",
            command=redis_command(platform, redis_files, redis_port),
            # It says where its file really is.
            healthy=lambda: redis_is_ours(redis_url, (redis_files / "redis.conf").resolve()),
            healthy_means="answers",
            # Its last flush to a slow disk.
            stop_seconds=30,
        ),
        Part(
            name="gateway",
            command=gateway_command(platform, gateway_files),
            healthy=lambda: page_is_served_by(gateway_files / "private.sock", "/readyz"),
            healthy_means="follows the log",
            # nginx' master goes on also without workers.
            answers=lambda: page_is_served_by(gateway_files / "private.sock", "/healthz"),
            environment=gateway_environment(
                platform,
                gateway_files,
                GatewaySettings(
                    listen=f"127.0.0.1:{settings.gateway_port}",
                    redis_url=redis_url,
                    namespace=settings.core.namespace,
                    origins=settings.site_origins,
                ),
            ),
        ),
        Part(
            name="formatter",
            command=_python("-m", "formatter", "--pipelines", "example_site.pipelines"),
            healthy=lambda: keys_exist(redis_url, partition_leases),
            healthy_means="holds the leases of all partitions",
        ),
        Part(
            name="relay",
            command=_python("-m", "django", "push_relay"),
            healthy=lambda: keys_exist(redis_url, [keys.lease(RELAY)]),
            healthy_means="holds its lease",
            before=(_python("-m", "django", "migrate", "--noinput"),),
        ),
        Part(
            name="site",
            command=_python(
                *("-m", "gunicorn", "example_site.wsgi:application"),
                *("--config", str(REPOSITORY / "stack/gunicorn_settings.py")),
                *("--bind", f"127.0.0.1:{settings.site_port}"),
            ),
            healthy=lambda: page_is_served(settings.site_url),
            healthy_means=f"serves {settings.site_url}",
            before=(_python("-m", "django", "load_demo"),),
        ),
    )


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)
