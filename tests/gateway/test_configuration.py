"""The rendered configuration: accepted by nginx, complete; what cannot work is refused, by name."""

import http.client
import os
import subprocess
from pathlib import Path

import pytest

from stack.gateway import Gateway, GatewaySettings, gateway_command, gateway_environment
from stack.platform import REPOSITORY, Platform
from stack.process import free_port
from stack.redis_server import RedisServer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def settings(**more: str) -> GatewaySettings:
    return GatewaySettings(
        listen=f"127.0.0.1:{free_port()}", redis_url="redis://127.0.0.1:1/0", more=more
    )


def render(directory: Path, chosen: GatewaySettings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(REPOSITORY / "nginx/render.sh"), str(directory / "nginx")],
        env={**os.environ, **gateway_environment(Platform.find(), directory, chosen)},
        capture_output=True,
        text=True,
        check=False,
    )


def nginx_test_command(directory: Path) -> list[str]:
    configuration = f"{directory}/nginx/nginx.conf"
    return [*Platform.find().nginx_command, "-t", "-p", str(directory), "-c", configuration]


def start(directory: Path, chosen: GatewaySettings) -> subprocess.CompletedProcess[str]:
    """Starts a gateway that is expected to end by itself."""
    platform = Platform.find()
    return subprocess.run(
        gateway_command(platform, directory),
        env={**os.environ, **gateway_environment(platform, directory, chosen)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_nginx_accepts_the_configuration_without_a_warning(tmp_path: Path) -> None:
    assert render(tmp_path, settings()).returncode == 0
    tried = subprocess.run(
        nginx_test_command(tmp_path), capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr


def test_everything_is_replaced_and_nginx_own_variables_are_kept(tmp_path: Path) -> None:
    render(tmp_path, settings())
    files = list((tmp_path / "nginx").rglob("*.conf"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert "${PUSHGATE" not in text.replace("${PUSHGATE_...}", "")
    assert "$arg_id" in text
    assert not (tmp_path / "nginx/servers/private_tcp.conf").exists()


def test_several_addresses_are_listened_on(tmp_path: Path) -> None:
    render(tmp_path, settings(PUSHGATE_LISTEN="192.0.2.1:80 [2001:db8::1]:80"))
    text = (tmp_path / "nginx/servers/public.conf").read_text(encoding="utf-8")
    assert "listen 192.0.2.1:80 backlog=" in text
    assert "listen [2001:db8::1]:80 backlog=" in text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PUSHGATE_LISTEN", "", "PUSHGATE_LISTEN is not set"),
        ("PUSHGATE_LISTEN", "1; include x", "only A-Z"),
        ("PUSHGATE_MODULE_DIR", "", "PUSHGATE_MODULE_DIR is not set"),
        ("PUSHGATE_ENGINE", "steam", "use push_stream"),
        ("PUSHGATE_ENGINE", "../http", "use push_stream"),
        ("PUSHGATE_TLS_KEY", "/key.pem", "needs a PUSHGATE_TLS_CERTIFICATE"),
        ("PUSHGATE_TLS_CERTIFICATE", "/certificate.pem", "needs a PUSHGATE_TLS_KEY"),
        ("PUSHGATE_TRUSTED_PROXIES", "10.0.0.1 some; more", "write addresses or networks"),
        ("PUSHGATE_PRIVATE_LISTEN", "127.0.0.1:9", "needs a PUSHGATE_PRIVATE_KEY"),
    ],
)
def test_rendering_refuses_what_cannot_work(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    rendered = render(tmp_path, settings(**{name: value}))
    assert rendered.returncode != 0
    assert words in rendered.stderr
    assert len(rendered.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUSHGATE_REDIS_URL", "127.0.0.1:6379"),
        ("PUSHGATE_NAMESPACE", "Not One"),
        ("PUSHGATE_ORIGINS", "http://site.example/path"),
        ("PUSHGATE_RETRY_MIN_MS", "soon"),
        ("PUSHGATE_RETRY_MIN_MS", "9000"),
        ("PUSHGATE_MAX_STREAMS", "-1"),
        ("PUSHGATE_SCRIPTS_DIR", "/nowhere"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    tmp_path: Path, name: str, value: str
) -> None:
    tried = start(tmp_path, settings(**{name: value}))
    assert tried.returncode != 0
    assert (name if name != "PUSHGATE_NAMESPACE" else "namespace") in tried.stderr or (
        value in tried.stderr
    )


def test_a_password_of_redis_is_not_shown(tmp_path: Path) -> None:
    tried = start(tmp_path, settings(PUSHGATE_REDIS_URL="redis://:hush@h:x"))
    assert tried.returncode != 0
    assert "hush" not in tried.stderr


def test_the_private_tcp_listener_wants_its_key(redis_server: RedisServer, tmp_path: Path) -> None:
    port = free_port()
    gateway = Gateway(
        Platform.find(),
        tmp_path,
        GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=redis_server.url,
            namespace=f"private-{port}",
            workers="1",
            more={
                "PUSHGATE_PRIVATE_LISTEN": f"127.0.0.1:{port}",
                "PUSHGATE_PRIVATE_KEY": "key-of-the-test",
            },
        ),
    )

    def status(path: str, authorization: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Authorization": authorization} if authorization else {}
        connection.request("GET", path, headers=headers)
        answered = connection.getresponse().status
        connection.close()
        return answered

    gateway.start()
    try:
        for path in (
            "/pub?id=thread:1",
            "/channels-stats",
            "/healthz",
            "/readyz",
            "/metrics",
            "/ledger",
        ):
            for wrong in ("", "Bearer", "Bearer wrong", "Basic key-of-the-test"):
                assert status(path, wrong) == 401
        assert status("/readyz", "Bearer key-of-the-test") == 200
        assert status("/frames?id=thread:1", "Bearer key-of-the-test") == 404
    finally:
        gateway.stop()


def test_a_second_gateway_in_the_same_folder_is_refused(gateway: Gateway) -> None:
    second = start(gateway.directory, gateway.settings)
    assert second.returncode != 0
    assert f"a gateway runs already, pid {gateway.pid}" in second.stderr
    assert gateway.private("GET", "/readyz").status == 200


def test_few_descriptors_are_taken_as_they_are(tmp_path: Path) -> None:
    platform, chosen = Platform.find(), settings()
    limited = subprocess.run(
        ["sh", "-c", 'ulimit -n 512; nginx/render.sh "$0/nginx" && "$@"', str(tmp_path)]
        + [
            *platform.nginx_command,
            "-t",
            "-p",
            str(tmp_path),
            "-c",
            f"{tmp_path}/nginx/nginx.conf",
        ],
        cwd=REPOSITORY,
        env={**os.environ, **gateway_environment(platform, tmp_path, chosen)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 0, limited.stderr
    assert "[warn]" not in limited.stderr
    connections = tmp_path / "nginx/events/connections.conf"
    assert "worker_connections 512;" in connections.read_text(encoding="utf-8")
