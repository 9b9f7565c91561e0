"""Who brings a good token gets what it opens; every other one is told why not, and no more."""

import base64
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from django_hooks import token_keys
from stack.errors import StackError
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.gateway.conftest import DEADLINE_SECONDS, ORIGIN, LogWriter, SubscriberOf, ask
from tests.gateway.tokens import Signer, begin

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def closed() -> str:
    """A channel that no other test uses and that is not public."""
    return f"user:{uuid.uuid4().hex[:12]}"


def test_a_token_opens_what_it_names(guarded_gateway: Gateway, signer: Signer) -> None:
    first, second = closed(), closed()
    token = signer.token(channels=[first, "team:7:*"])
    for channels in (first, f"{first}/team:7:a", "team:7:a:b", f"{first}.b5/thread:1"):
        for target, headers in (
            (f"/sub/{channels}?token={token}", {}),
            (f"/sub/{channels}?last_event_id=&token={token}&x=1", {}),
            (f"/sub/{channels}", {"Cookie": f"pushgate={token}"}),
            (f"/sub/{channels}", {"Cookie": f"a=b; pushgate={token}; c=d"}),
        ):
            status, body = begin(guarded_gateway, target, headers)
            assert status == 200, (target, body)
            assert "retry: " in body
            assert "event: error" not in body
    for channels in (second, f"{first}/{second}", "team:7", "team:70:a", "team:8:a", first + "0"):
        status, body = begin(guarded_gateway, f"/sub/{channels}?token={token}")
        assert status == 403, body
        assert body.startswith("the token does not open channel ")


def test_without_a_token_only_the_public_is_open(guarded_gateway: Gateway) -> None:
    name = closed()
    assert begin(guarded_gateway, "/sub/thread:1")[0] == 200
    for target in (f"/sub/{name}", f"/sub/{name}?token=", f"/sub/thread:1/{name}"):
        answer = ask(guarded_gateway, "GET", target, {"Origin": ORIGIN})
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.body.decode() == (
            f'channel "{name}" is not public; bring a token: ?token=, or the cookie pushgate\n'
        )


def test_a_gateway_without_keys_opens_nothing_by_token(gateway: Gateway, signer: Signer) -> None:
    name = closed()
    for headers in ({}, {"Cookie": f"pushgate={signer.token(channels=[name])}"}):
        status, body = begin(gateway, f"/sub/{name}", headers)
        assert status == 403
        assert body.endswith("is not public, and this gateway has no keys to open it with\n")


def test_the_address_wins_over_the_cookie(guarded_gateway: Gateway, signer: Signer) -> None:
    first, second = closed(), closed()
    cookie = {"Cookie": f"pushgate={signer.token(channels=[first])}"}
    other = signer.token(channels=[second])
    assert begin(guarded_gateway, f"/sub/{first}?token={other}", cookie)[0] == 403
    assert begin(guarded_gateway, f"/sub/{second}?token={other}", cookie)[0] == 200
    # mint() gives nobody an empty one.
    assert begin(guarded_gateway, f"/sub/{first}?token=", cookie)[0] == 200


def test_on_a_public_channel_a_bad_cookie_is_none_and_a_bad_address_is_told(
    guarded_gateway: Gateway, signer: Signer
) -> None:
    for bad in (signer.token(exp=1), "nonsense"):
        assert begin(guarded_gateway, "/sub/thread:1", {"Cookie": f"pushgate={bad}"})[0] == 200
        assert begin(guarded_gateway, f"/sub/thread:1?token={bad}")[0] == 401
    assert begin(guarded_gateway, f"/sub/thread:1?token={signer.token()}")[0] == 200


def forgeries(signer: Signer) -> Iterator[tuple[str, str]]:
    """Tokens that must not open a channel, which all of them name."""
    good = signer.token(channels=["user:*"])
    head, body, tail = good.split(".")
    pem = token_keys.public(signer.keys[0]).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )

    def encoded(data: bytes | dict[str, Any]) -> str:
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def header(**changes: Any) -> str:
        return encoded({"alg": "EdDSA", "kid": "first", "typ": "JWT", **changes})

    hs256 = f"{header(alg='HS256')}.{body}"
    yield (
        "HS256 by the public key",
        f"{hs256}.{encoded(hmac.digest(pem, hs256.encode(), 'sha256'))}",
    )
    for alg in ("none", "None", "NONE", "eddsa", "HS256", "", None, ["EdDSA"], 1):
        yield f"alg {alg}", f"{header(alg=alg)}.{body}.{tail}"
        yield f"alg {alg}, unsigned", f"{header(alg=alg)}.{body}."
    for kid in ("other", "", None, 1, ["first"], "FIRST", "first\0", "__index"):
        yield f"kid {kid}", f"{header(kid=kid)}.{body}.{tail}"
    stranger = Signer(signer.path, [token_keys.new_key("first", "EdDSA")])
    yield "another key", stranger.token(channels=["user:*"])
    yield "other claims", f"{head}.{signer.token('8', ['user:*']).split('.')[1]}.{tail}"
    for changes in (
        {"aud": "other"},
        {"aud": None},
        {"nbf": time.time() + 60},
        {"iat": time.time() + 60},
        {"exp": time.time() - 6},
        {"exp": None},
        {"exp": 2**63},
        {"exp": 1e308},
        {"exp": "9" * 15},
        {"exp": [9]},
        {"exp": {"a": {"b": 1}}},
        {"exp": True},
        {"sub": None},
        {"channels": "user:*"},
        {"channels": {"0": "user:*"}},
        {"channels": [["user:*"]]},
        {"channels": [None, "user:*"]},
    ):
        claims = {"iat": time.time() - 10, "sub": "7", **changes}
        good_claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        merged = {k: v for k, v in {**good_claims, **claims}.items() if v is not None}
        whole = f"{head}.{encoded(merged)}"
        signature = token_keys.private(signer.keys[0]).sign(whole.encode())
        yield f"claims {changes}", f"{whole}.{encoded(signature)}"
    for text in (b'{"sub":"\xff"}', b"[" * 1000, b"\0", b"{}" * 2, b"\xef\xbb\xbf{}"):
        whole = f"{head}.{encoded(text)}"
        signature = token_keys.private(signer.keys[0]).sign(whole.encode())
        yield f"claims {text[:9]!r}", f"{whole}.{encoded(signature)}"
    yield "padding", good + "="
    yield "a line end", good + "%0A"
    yield "NUL", good + "%00"
    yield "beyond ASCII", good + "%C3%A9"
    yield "too long", good + "A" * 4096
    yield "a digest alone", f"{head}.{body}.{encoded(hashlib.sha256(body.encode()).digest())}"


def test_no_forged_token_opens_anything(guarded_gateway: Gateway, signer: Signer) -> None:
    good = signer.token(channels=["user:*"])
    assert begin(guarded_gateway, f"/sub/user:1?token={good}")[0] == 200
    for what, token in forgeries(signer):
        status, body = begin(guarded_gateway, f"/sub/user:1?token={token}")
        assert status == 401, (what, body)
        assert body.startswith("the token "), what
        assert body.endswith("\n"), what
        # One sentence, with nothing in it of what came.
        for part in token.split("."):
            assert len(part) < 8 or part not in body


def test_tokens_changed_at_random_open_nothing(guarded_gateway: Gateway, signer: Signer) -> None:
    seed = 20261128
    print(f"seed {seed}")
    draw = random.Random(seed)
    good = signer.token(channels=["user:*"])
    letters = "ABCZabcz019-_.=%+/ \x7f".replace(" ", "")
    for _ in range(300):
        text = list(good)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(text))
            match draw.randrange(3):
                case 0:
                    text[at] = draw.choice(letters)
                case 1:
                    del text[at]
                case _:
                    text.insert(at, draw.choice(letters))
        changed = "".join(text).replace("%", "%25")
        if changed != good:
            status, body = begin(guarded_gateway, "/sub/user:1", {"Cookie": f"pushgate={changed}"})
            assert status == 401, (changed, body)


@pytest.fixture
def own_signer(tmp_path: Path) -> Signer:
    """A key set that the test may change."""
    made = Signer(tmp_path / "keys.json")
    made.write()
    return made


@pytest.fixture
def own_guarded(
    engine: str, redis_server: RedisServer, own_signer: Signer, tmp_path: Path
) -> Iterator[Gateway]:
    """A gateway with keys that the test may change; streams end with their token."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace=f"guarded-{uuid.uuid4().hex[:8]}",
        workers="2",
        engine=engine,
        token_keys=own_signer.path,
        more={"PUSHGATE_CUT_AT_EXPIRY": "on", "PUSHGATE_PING_SECONDS": "1"},
    )
    own = Gateway(Platform.find(), tmp_path / "gateway", settings)
    try:
        own.start()
        yield own
    finally:
        own.stop()


def said(gateway: Gateway, text: str) -> int:
    """How many lines of the gateway's log hold it."""
    return sum(text in line for line in gateway.log.read_text().splitlines())


def test_keys_change_without_dropping_anybody(
    own_guarded: Gateway, own_signer: Signer, subscriber_of: SubscriberOf
) -> None:
    path = "/sub/user:1?token="
    old = own_signer.token(channels=["user:1"])
    subscriber = subscriber_of(own_guarded, "user:1", query=f"?token={old}").connect()
    fresh = token_keys.new_key("second", "HS256")
    own_signer.keys = [fresh, *own_signer.keys]
    new = own_signer.token(channels=["user:1"])
    assert begin(own_guarded, path + new)[0] == 401

    def both_open() -> bool:
        # Each worker looks by itself.
        return all(begin(own_guarded, path + token)[0] == 200 for token in [old, new] * 8)

    own_signer.write()
    wait_until(both_open, DEADLINE_SECONDS, "both keys are known")
    # Files that cannot be used change nothing, and each is said once.
    own_signer.path.write_text('{"keys": [')
    wait_until(
        lambda: both_open() and said(own_guarded, "it is not a JSON Web Key Set"),
        DEADLINE_SECONDS,
        "the broken file was looked at",
    )
    own_signer.path.unlink()
    wait_until(
        lambda: both_open() and said(own_guarded, "could not open it"),
        DEADLINE_SECONDS,
        "the file was missed",
    )
    own_signer.keys = [fresh]
    own_signer.write()
    wait_until(
        lambda: all(begin(own_guarded, path + old)[0] == 401 for _ in range(16)),
        DEADLINE_SECONDS,
        "the old key is forgotten, and what it had verified",
    )
    assert begin(own_guarded, path + new)[0] == 200
    assert fresh.key not in own_guarded.log.read_text()
    LogWriter(own_guarded).append("user:1", n=1)
    subscriber.wait_for(1)


def test_a_stream_ends_with_its_token_when_that_is_configured(
    own_guarded: Gateway, own_signer: Signer, subscriber_of: SubscriberOf
) -> None:
    # It is taken for 5 seconds behind its end, of which 4 have passed.
    short = own_signer.token(channels=["user:1"], exp=time.time() - 4)
    long = own_signer.token(channels=["user:1"])
    leaves, stays, public = (
        subscriber_of(own_guarded, channel, query=f"?token={token}").connect()
        for channel, token in (("user:1", short), ("user:1", long), ("thread:1", short))
    )
    leaves.wait_until_ended()
    assert begin(own_guarded, f"/sub/user:1?token={short}")[0] == 401
    LogWriter(own_guarded).append("user:1", "thread:1", n=1)
    stays.wait_for(1)
    public.wait_for(1)
    assert leaves.events == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "could not open it"),
        ("", "it is empty"),
        ("{}", "it is not a JSON Web Key Set"),
        ("x" * 70_000, "it is larger than 64 KB"),
    ],
    ids=["missing", "empty", "no keys", "large"],
)
def test_a_key_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    path = tmp_path / "keys.json"
    if text is not None:
        path.write_text(text)
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}", redis_url="redis://127.0.0.1:1/0", token_keys=path
    )
    gateway = Gateway(Platform.find(), tmp_path / "gateway", settings)
    with pytest.raises(StackError):
        gateway.start()
    log = gateway.log.read_text()
    assert f'PUSHGATE_TOKEN_KEYS "{path}": {sentence}' in log
    assert "manage.py push_keys writes it" in log
