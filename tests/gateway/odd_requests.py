"""A grammar of almost right requests, and what may happen to one on its way.

What a client could hope to see in an answer's head or in a frame says `injected`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

WATCHED = "thread:watched"
"""Subscribers hold it open, and every byte they get is compared with the log."""

INJECTION = b"\r\nX-Injected: 1\r\n\r\ndata: injected\n\n"

CHANNELS = (
    *[WATCHED.encode()] * 6,
    *(b"thread:%d" % n for n in range(1, 9)),
    *(WATCHED.encode() + b".b5", b"forum:7.b1000", b"thread%3a1", b"a.b", b"user:1", b"team:7:a"),
)
ODD_CHANNELS = (
    *(b"thread:1.b99999999999999999999", b"thread:1.b%35", b"thread:1\x7f", b"thread:1\t", b"_all"),
    *(b".b1", b".", b"..", b"", b"_all.b1", b"ALL", b"*", b"A", b"%00", b"+", b";a=b", b"#", b"?"),
    *(b"%0d%0aX-Injected:%201", b"%0a", b"%2e%2e", b"%2F", b"%", b"%zz", b"%25", b"%u0061", b" "),
    *(b"\xc3\xa9", b"\xff\xfe", b"a" * 127, b"a" * 128, b"thread:" + b"9" * 2000),
    b"/".join(b"thread:%d" % n for n in range(17)),
)
CURSORS = (
    *b"0 * $ - 0-0 1.1-1 00000000.1-1 00000000.1-01 00000000.999999999999999-0 %00 \xff".split(),
    *b"00000000.0000000000000000000001-0 ffffffff.9007199254740993-18446744073709551".split(),
    *(b"", b"%0d%0adata:%20injected%0a%0a", b"x" * 500, b"a, b"),
)
GOOD_TOKEN = b"good-token"
"""Stands for one that opens `user:1` and `team:*`."""

TOKENS = (
    *[GOOD_TOKEN] * 6,
    *(b".", b"..", b"a.b.c", b"eyJhbGciOiJub25lIn0.e30.", b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA"),
    *(b"eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.bnVsbA.", b"%00.%00.%00", b"A" * 3000, b"W10.W10.W10"),
)
METHODS = (
    *b"GET POST OPTIONS HEAD PUT PATCH DELETE DELETE TRACE CONNECT PROPFIND BREW get".split(),
    *(b"", b"G\0T", b"GET GET"),
)
VERSIONS = (b" HTTP/1.0", b"", b" HTTP/2.0", b" HTTP/9.9", b" HTTP/1.10", b" HTTP/1.", b" http/1.1")
PUBLIC = (b"/sub/",)
PRIVATE = (
    *[b"/pub?id="] * 6,
    *(b"/channels-stats?id=", b"/channels-stats?id=", b"/readyz?", b"/healthz?", b"/metrics?"),
)
ODD_PATHS = (
    *(b"/sub", b"//sub/", b"/%73ub/", b"/sub/../sub/", b"http://x/sub/", b"sub/", b"/sub/?"),
    *(b"/pub?x=1&id=", b"/pub/", b"/frames?id=", b"/all?id=", b"/statistics?id=", b"/metrics?"),
    *(b"/_refused?", b"/", b"*", b"", *PUBLIC, *PRIVATE),
)
ARGUMENTS = (b"last_event_id=", b"last_event_id=", b"token=", b"id=", b"callback=", b"&&=", b"")
NAMES = (
    *(b"Last-Event-ID", b"Last-Event-ID", b"Origin", b"Cookie", b"Authorization", b"Accept"),
    *(b"Event-Type", b"Event-Type", b"Event-Id", b"Event-Id", b"Connection", b"Upgrade", b"Range"),
    *(b"If-None-Match", b"If-Modified-Since", b"If-Unmodified-Since", b"If-Range", b"If-Match"),
    *(b"X-Nginx-PushStream-Mode", b"X-Forwarded-For", b"Content-Type", b"Content-Length", b"TE"),
    *(b"Transfer-Encoding", b"Host", b"Trailer", b"X-Accel-Redirect", b"HTTP2-Settings", b"Expect"),
    *(b"Access-Control-Request-Method", b"Sec-WebSocket-Key", b"X y", b"", b"\xff", b":"),
)
VALUES = (
    *b"1 5 close keep-alive Upgrade websocket chunked gzip 100-continue long-polling".split(),
    *b"http://site.example pushgate=good-token bytes=0-1 -a \xc3\xa9 a.b_c-d e-1 reset".split(),
    *b"application/json text/event-stream text/plain application/xml */*;q=0.1 text/yaml".split(),
    *(b"Sat, 01 Jan 2050 00:00:00 GMT", b"Thu, 01 Jan 1970 00:00:00 GMT", b"a: b", b"a b", b""),
    *(INJECTION, b"a\rX-Injected: 1", b"a\nX-Injected: 1", b"a\0b", b"a" * 9000, b"x" * 200),
)
BODIES = (
    *[b'{"n": 1}'] * 8,
    *b'{} [] { {}{} null {"event_id":"x"} {"version":{}} {"a":1e999} {"":0} {\0}'.split(),
    *(
        b"",
        b"{ }",
        b'{"a":"\xff"}',
        b'{"a":"b\nc"}',
        b'{\r\n"a"\t:1}',
        b'{"a":"\\u000adata: injected"}',
    ),
    *(b'{"a":' + b"[" * 2000, b'{"a":"' + b"x" * 70_000 + b'"}'),
)


@dataclass(frozen=True)
class OddConnection:
    """What one client does.

    Attributes:
        packets: what it sends, one after the other.
        private: whether to the private listener.
        leaves: it closes without reading.
        requests: how many requests its bytes were made of.
    """

    packets: tuple[bytes, ...]
    private: bool
    leaves: bool
    requests: int


def _junk(random: Random, most: int = 12) -> bytes:
    return random.randbytes(random.randrange(most))


def _value(random: Random) -> bytes:
    match random.randrange(6):
        case 0:
            return random.choice(CURSORS)
        case 1:
            return random.choice(TOKENS)
        case 2:
            return _junk(random)
        case 3:
            return bytes(random.choices(b"0123456789abcdef.-", k=random.randrange(24)))
        case _:
            return random.choice(VALUES)


def _choose(random: Random, usual: Sequence[bytes], odd: Sequence[bytes]) -> bytes:
    return random.choice(odd if random.random() < 0.08 else usual)


def _request(random: Random, private: bool) -> bytes:
    path = _choose(random, PRIVATE if private else PUBLIC, ODD_PATHS)
    method = _choose(random, (b"POST",) if path.startswith(b"/pub") else (b"GET",), METHODS)
    how_many = random.choice((1, 1, 1, 2, 3))
    names = b"/".join(_choose(random, CHANNELS, ODD_CHANNELS) for _ in range(how_many))
    target = path + names
    if random.random() < 0.3:
        argument = random.choice(ARGUMENTS) + random.choice((_value(random), names))
        if random.random() < 0.3:
            argument = b"token=" + GOOD_TOKEN
        target += (b"&" if b"?" in target else b"?") + argument
    lines = [method + b" " + target + _choose(random, (b" HTTP/1.1",), VERSIONS)]
    if random.random() < 0.97:
        lines.append(b"Host: gateway")
    if random.random() < 0.1:
        lines.append(b"Accept: application/json")
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        lines.append(random.choice(NAMES) + b": " + _value(random))
    if random.random() < (0.95 if method == b"POST" else 0.05):
        body = _body(random, lines)
        return b"\r\n".join([*lines, b"", body])
    return b"\r\n".join([*lines, b"", b""])


def _body(random: Random, lines: list[bytes]) -> bytes:
    """Adds the headers of a body; returns it."""
    body = random.choice((*BODIES, b'{"a":"' + _junk(random, 40) + b'"}', _junk(random)))
    match random.randrange(10):
        case 0 | 1:
            lines.append(b"Transfer-Encoding: chunked")
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        case 2:
            lines.append(b"Transfer-Encoding: chunked")
            return _junk(random) + b"\r\n" + body
        case 3:
            lines.append(b"Content-Length: %d" % max(0, len(body) + random.randint(-3, 3)))
        case 4:
            lines.append(b"Content-Length: " + _value(random))
        case _:
            lines.append(b"Content-Length: %d" % len(body))
    return body


def _mutated(random: Random, private: bool) -> bytes:
    request = _request(random, private)
    at = random.randrange(min(len(request), 400) + 1)
    match random.randrange(25):
        case 0:
            return request[:at]
        case 1:
            return request[:at] + _junk(random) + request[at:]
        case 2:
            return request[:at] + _junk(random) + request[at + 4 :]
        case 3:
            return request[:at] + request[at // 2 :]
        case 4:
            return request[:at] + _request(random, private)[at:]
        case 5:
            return request[:at] + INJECTION + request[at:]
        case 6:
            return request.replace(b"\r\n", b"\n")
        case _:
            return request


def odd_connection(random: Random, token: bytes) -> OddConnection:
    """What one odd client with this token does: up to three requests, in up to three packets."""
    private = random.random() < 0.4
    requests = [_mutated(random, private) for _ in range(random.choice((1, 1, 2, 3)))]
    sent = b"".join(requests).replace(GOOD_TOKEN, token)
    cuts = random.choices(range(len(sent) + 1), k=random.choice((0, 0, 0, 1, 2)))
    ends = sorted([0, *cuts, len(sent)])
    packets = tuple(sent[a:b] for a, b in zip(ends, ends[1:], strict=False) if b > a)
    return OddConnection(packets, private, random.random() < 0.07, len(requests))
