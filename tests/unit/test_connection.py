"""What `connect` makes of a URL; nothing is connected here."""

from __future__ import annotations

import pytest
import redis

from pushgate import InvalidSetting, connect
from pushgate.cluster import ClusterClient


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://a", "unix:///run/redis.sock"])
def test_a_single_redis(url: str) -> None:
    assert isinstance(connect(url), redis.Redis)


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://a",
        "redis+cluster://a:7000,b:7001/0",
        "rediss+cluster://user:secret@a:7000,b?ssl_cert_reqs=none",
        "redis+cluster://[::1]:7000",
    ],
)
def test_a_cluster(url: str) -> None:
    assert isinstance(connect(url), ClusterClient)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("127.0.0.1:6379", "must specify one of the following schemes"),
        ("redis+cluster://", "name nodes of the cluster, redis"),
        ("redis+cluster://a:7000,", "name nodes of the cluster, redis"),
        ("redis+cluster:///var/run/redis.sock", "name nodes of the cluster, redis"),
        ("redis+cluster://a:7000/3", "a cluster has one database only; leave /3 out"),
        ("redis+cluster://a?db=3", "a cluster has one database only; leave db out"),
        ("redis+cluster://a:x", "Port could not be cast"),
        ("redis+clusters://a", "must specify one of the following schemes"),
    ],
)
def test_a_wrong_url_is_named_with_what_is_wrong(url: str, sentence: str) -> None:
    with pytest.raises(InvalidSetting, match="PUSHGATE_REDIS_URL.*") as wrong:
        connect(url)
    assert sentence in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "nonsense"])
def test_a_wrong_urls_password_is_kept_quiet(scheme: str) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        connect(f"{scheme}://user:secret@host:x")
    assert "secret" not in str(wrong.value)
    assert "user:***@host" in str(wrong.value)
