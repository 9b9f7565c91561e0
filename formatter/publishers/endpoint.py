"""One HTTP endpoint that things are posted to: what is checked of its address, and what its answers
mean.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3
from gevent import Timeout

from formatter.publishers.publisher import Gone, Refused, Unavailable

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
"""Between two pieces of the answer; the Standard Webhooks specification recommends 15 to 30."""

WHOLE_SECONDS = 30.0
"""From the first byte sent to the last one read, however slowly they come."""

ANSWER_BYTES = 64 * 1024
"""How much of an answer's body is read, so that its connection can serve again; all is ignored."""

LONGEST_RETRY_AFTER_SECONDS = 900.0

# Neither is about what was sent: wrong credentials, an address not served, too much at once.
_NOT_ABOUT_ITEMS = {401, 403, 404, 405, 407, 408, 421, 425, 426, 429}


def wrong_with(url: str, insecure: bool = False) -> str:
    """Says in one sentence what is wrong with an address to post to; "" when nothing is.

    Without TLS everybody on the way reads along, so plain HTTP is for this machine and its private
    network; names of hosts are not looked up, so `insecure` says it of those.
    """
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        return f"{url!r}: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        return f"{url!r}: use https://host/path"
    if parts.username is not None or parts.password is not None:
        return f"an address at {parts.hostname!r} holds a password: code is no place for one"
    if parts.fragment:
        return f"{url!r}: an address to post to has no #fragment"
    if parts.scheme == "http" and not insecure and not _is_near(parts.hostname):
        return f"{url!r}: everybody on the way can read plain http: use https, or insecure=True"
    return ""


class Endpoint:
    """Posts to one address, over connections that are kept.

    Args:
        url: as `wrong_with` finds nothing wrong with it.
        connections: how many are kept.
        user_agent: who says it posts.
    """

    def __init__(self, url: str, connections: int, user_agent: str) -> None:
        self.url = url
        self._user_agent = user_agent
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        )

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Posts a body; returns once the answer was 2xx. Redirects are not followed.

        Raises:
            Refused: the answer says that this body will never be taken.
            Unavailable: no answer, or one that may be another next time.
            Gone: the answer was 410.
        """
        try:
            with Timeout(WHOLE_SECONDS):
                response = self._pool.request(
                    "POST",
                    self.url,
                    body=body,
                    headers={"user-agent": self._user_agent, **headers},
                    redirect=False,
                    preload_content=False,
                )
                try:
                    status, retry_after = response.status, response.headers.get("retry-after", "")
                    self._skim(response)
                finally:
                    response.close()
        except Timeout:
            raise Unavailable(f"no whole answer within {WHOLE_SECONDS:g} s") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None
        _judge(status, retry_after)

    def close(self) -> None:
        """Closes the connections that are kept."""
        self._pool.clear()

    def _skim(self, response: urllib3.BaseHTTPResponse) -> None:
        """Reads the answer to its end, if that is near, so that the connection can serve again."""
        with suppress(urllib3.exceptions.HTTPError, OSError):
            while response.tell() < ANSWER_BYTES and response.read(
                ANSWER_BYTES, decode_content=False
            ):
                pass


def _judge(status: int, retry_after: str) -> None:
    if 200 <= status < 300:
        return
    reason = f"{status} {_phrase(status)}".rstrip()
    if status == HTTPStatus.GONE:
        raise Gone(reason)
    if 400 <= status < 500 and status not in _NOT_ABOUT_ITEMS:
        raise Refused(reason)
    wait = _seconds_of(retry_after) if status in (429, 503) else 0.0
    raise Unavailable(reason, wait, about_items=status == HTTPStatus.INTERNAL_SERVER_ERROR)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _seconds_of(retry_after: str) -> float:
    """The header Retry-After, seconds or a date; 0 when it is neither."""
    with suppress(ValueError, TypeError, OverflowError):
        if retry_after.strip().isascii() and retry_after.strip().isdecimal():
            wait = float(retry_after)
        else:
            wait = parsedate_to_datetime(retry_after).timestamp() - time.time()
        return min(max(0.0, wait), LONGEST_RETRY_AFTER_SECONDS)
    return 0.0


def _is_near(host: str) -> bool:
    """Whether this is this machine, or an address of a private network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (address.is_private and not address.is_unspecified)
