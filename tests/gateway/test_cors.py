"""Pages of the site's origins may read what the gateway answers, and pages of no others."""

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import ORIGIN, ask
from tests.gateway.tokens import Signer, begin

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_a_page_of_the_site_may_read_the_stream(gateway: Gateway, channel: str) -> None:
    answer = ask(gateway, "OPTIONS", f"/sub/{channel}", {"Origin": ORIGIN})
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-methods"] == "GET, OPTIONS"
    assert "Last-Event-ID" in answer.headers["access-control-allow-headers"]
    assert answer.headers["vary"] == "Accept, Origin"


def test_refusals_can_be_read_by_the_sites_pages(gateway: Gateway) -> None:
    answer = ask(gateway, "GET", "/sub/secret:1", {"Origin": ORIGIN})
    assert answer.status == 403
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        ORIGIN + ".evil.example",
        ORIGIN + ":80",
        ORIGIN.upper(),
        "null",
        "*",
        ORIGIN + "/",
    ],
)
def test_no_other_origin_is_let_in(gateway: Gateway, channel: str, origin: str) -> None:
    answer = ask(gateway, "OPTIONS", f"/sub/{channel}", {"Origin": origin})
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert answer.headers["vary"] == "Accept, Origin"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ORIGIN + ".evil.example"])
def test_a_page_of_another_origin_may_not_use_the_cookie(
    guarded_gateway: Gateway, signer: Signer, channel: str, origin: str
) -> None:
    cookie = {"Cookie": f"pushgate={signer.token(channels=['user:1'])}"}
    for name in ("user:1", channel):
        status, body = begin(guarded_gateway, f"/sub/{name}", {**cookie, "Origin": origin})
        assert (status, body) == (
            403,
            "pages of this origin may not use the cookie pushgate; PUSHGATE_ORIGINS lists those "
            "that may\n",
        )
        # Of the site's own page, and of none: EventSource sends no Origin to its page's own host.
        for own in ({"Origin": ORIGIN}, {}):
            assert begin(guarded_gateway, f"/sub/{name}", {**cookie, **own})[0] == 200
    assert begin(guarded_gateway, f"/sub/{channel}", {"Origin": origin})[0] == 200


@pytest.mark.parametrize("query", ["", "?token=nonsense"])
def test_every_refusal_can_be_read_by_the_sites_pages_and_by_no_others(
    guarded_gateway: Gateway, query: str
) -> None:
    for target in (f"/sub/user:1{query}", "/sub/Bad", "/sub/", "/sub/" + "a/" * 17):
        own = ask(guarded_gateway, "GET", target, {"Origin": ORIGIN})
        assert own.status in (400, 401)
        assert own.headers["access-control-allow-origin"] == ORIGIN
        assert own.headers["access-control-allow-credentials"] == "true"
        for origin in ("http://evil.example", f"{ORIGIN}, {ORIGIN}"):
            other = ask(guarded_gateway, "GET", target, {"Origin": origin})
            assert other.status == own.status
            assert [name for name in other.headers if name.startswith("access-control")] == []
            assert other.headers["vary"] == "Accept, Origin"
