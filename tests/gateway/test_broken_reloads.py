"""A reload that cannot read what it needs goes on with what there was, or says that it cannot.

The engine begins its memory anew at each reload, before ours is asked: a reload that was refused
then would leave the old workers, and they would hand nothing over any more.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.gateway import Gateway, GatewaySettings
from stack.platform import REPOSITORY, Platform
from stack.process import free_port
from stack.redis_server import RedisServer
from tests.gateway.conftest import LogWriter, SubscriberOf
from tests.gateway.test_readiness import reload, sentence, wait_until_it_says
from tests.gateway.tokens import Signer, begin

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(120)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with `lua`, `scripts` and `keys.json`, which the test may break."""
    shutil.copytree(REPOSITORY / "lua", tmp_path / "lua")
    shutil.copytree(REPOSITORY / "pushgate" / "scripts", tmp_path / "scripts")
    return tmp_path


@pytest.fixture
def signer_of_files(files: Path) -> Signer:
    made = Signer(files / "keys.json")
    made.write()
    return made


@pytest.fixture
def breakable(
    engine: str, redis_server: RedisServer, files: Path, signer_of_files: Signer
) -> Iterator[Gateway]:
    """A gateway that reads all it needs from these files."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace=f"broken-{uuid.uuid4().hex[:8]}",
        workers="2",
        engine=engine,
        token_keys=signer_of_files.path,
        more={
            "PUSHGATE_LUA_DIR": str(files / "lua"),
            "PUSHGATE_SCRIPTS_DIR": str(files / "scripts"),
        },
    )
    own = Gateway(Platform.find(), files / "gateway", settings)
    try:
        own.start()
        yield own
    finally:
        own.stop()


def break_keys(files: Path) -> None:
    (files / "keys.json").write_text('{"keys": [')


def lose_keys(files: Path) -> None:
    (files / "keys.json").unlink()


def lose_scripts(files: Path) -> None:
    shutil.rmtree(files / "scripts")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (break_keys, "the token keys stay as they were"),
        (lose_keys, "the token keys stay as they were"),
        (lose_scripts, "the script publish stays as it was"),
    ],
)
def test_a_reload_that_cannot_read_a_file_goes_on_with_what_it_had(
    breakable: Gateway,
    files: Path,
    signer_of_files: Signer,
    subscriber_of: SubscriberOf,
    harm: Callable[[Path], None],
    said: str,
) -> None:
    log = LogWriter(breakable)
    token = signer_of_files.token(channels=["user:1"])
    harm(files)
    for n in range(2):
        reload(breakable)
        wait_until_it_says(breakable, "")
        subscriber = subscriber_of(breakable, "user:1", query=f"?token={token}").connect()
        log.append("user:1", n=n)
        subscriber.wait_for(1)
        assert breakable.private("POST", "/pub?id=user:1", '{"a": 1}').status == 200
        subscriber.wait_for(2)
    assert begin(breakable, f"/sub/user:2?token={token}")[0] == 403
    assert said in breakable.log.read_text()


def test_a_reload_that_cannot_go_on_is_not_ready_until_the_next_one(
    breakable: Gateway, files: Path, subscriber_of: SubscriberOf
) -> None:
    config = files / "lua" / "pushgate" / "config.lua"
    text = config.read_text()
    old = "function _M.load(env)\n"
    assert text.count(old) == 1
    config.write_text(text.replace(old, old + '    error("a setting is missing", 0)\n'))
    reload(breakable)
    assert "the last reload failed: a setting is missing" in sentence(breakable)
    config.write_text(text)
    reload(breakable)
    wait_until_it_says(breakable, "")
    subscriber = subscriber_of(breakable, "thread:1").connect()
    LogWriter(breakable).append("thread:1", n=1)
    subscriber.wait_for(1)
