"""Lua's parsers say what Python's say, whatever the text."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from redis.connection import parse_url

from pushgate.channels import BACKLOG_SUFFIX, check_channel
from pushgate.cursor import Cursor
from pushgate.errors import InvalidChannel, InvalidCursor
from stack.platform import REPOSITORY

SEED = 2014

thorough = settings(
    max_examples=250,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Parsers:
    """Lua's parsers, in a LuaJIT of their own."""

    def __init__(self) -> None:
        path = "./lua/?.lua;./tests/lua/?.lua;;"
        self._process = subprocess.Popen(
            ["luajit", "-e", f"package.path='{path}'", "tests/lua/parsers.lua"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, parser: str, text: bytes) -> Any:
        """What the parser makes of the text."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{parser} {text.hex()}\n".encode())
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the parser {parser} raised on {text!r}"
        return json.loads(answer)[0]

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    """Lua's parsers for all tests of this file."""
    asked = Parsers()
    yield asked
    asked.close()


def is_channel(name: bytes) -> bool:
    try:
        return bool(check_channel(name.decode("latin-1")))
    except InvalidChannel:
        return False


PIECES = st.sampled_from(
    [b"a", b"z", b"0", b"9", b"_", b":", b"@", b"-", b".", b".b", b".b1", b"b", b"A", b" ", b"/"]
    + [b"\n", b"\0", b"\x7f", b"\xe9", b"%", b"%2F", b"%2e", b"%00", b"+", b"thread:1", b"x" * 120]
)
NAMES = st.lists(PIECES, max_size=9).map(b"".join) | st.binary(max_size=12)


@seed(SEED)
@thorough
@given(NAMES)
def test_a_channels_name_is_one_in_both_languages(parsers: Parsers, name: bytes) -> None:
    assert parsers.ask("channel", name) == is_channel(name)


@seed(SEED)
@thorough
@given(st.lists(NAMES, min_size=1, max_size=18).map(b" ".join))
def test_the_channels_of_an_entry_are_the_same_in_both_languages(
    parsers: Parsers, field: bytes
) -> None:
    names = field.split(b" ")
    sound = len(names) <= 16 and all(is_channel(name) for name in names)
    assert parsers.ask("channels", field) == ([name.decode() for name in names] if sound else False)


def requested_by(path: bytes) -> list[dict[str, Any]] | bool:
    """What an address asks for, as DESIGN says it: each channel once, with its longest backlog."""
    found: dict[str, int] = {}
    for part in path.split(b"/"):
        text = unquote_to_bytes(part.replace(b"+", b" "))
        suffix = re.search(BACKLOG_SUFFIX.encode() + rb"\Z", text)
        name = text[: suffix.start()] if suffix else text
        if not is_channel(name):
            return False
        backlog = min(int(suffix[0][2:]), 1000) if suffix else 0
        found[name.decode()] = max(backlog, found.get(name.decode(), 0))
        if len(found) > 16:
            return False
    return [{"name": name, "backlog": backlog} for name, backlog in found.items()]


PARTS = st.sampled_from([*(b"t:%d" % n for n in range(18)), b"a.b3", b"a.b9", b"a.b99999", b"%61"])


@seed(SEED)
@thorough
@given(st.lists(PARTS | NAMES, max_size=20).map(b"/".join) | st.lists(PARTS).map(b"/".join))
def test_an_address_asks_for_what_it_says(parsers: Parsers, path: bytes) -> None:
    assert parsers.ask("path", path) == requested_by(path)


CURSORS = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda epoch, ms, seq, between, end: f"{epoch}.{ms}{between}{seq}{end}".encode(),
        st.text("0123456789abcdefA", min_size=7, max_size=9),
        st.integers(0, 10**17) | st.text("0123456789 .-x", max_size=17),
        st.integers(0, 10**17) | st.text("0123456789 .-x", max_size=17),
        st.sampled_from(["-", "-", "-", ".", ""]),
        st.sampled_from(["", "", "", "\n", " ", "\0"]),
    ),
)


@seed(SEED)
@thorough
@given(CURSORS)
def test_a_cursor_is_one_in_both_languages(parsers: Parsers, text: bytes) -> None:
    expected: Any = False
    try:
        cursor = Cursor.parse(text.decode("latin-1"))
        expected = [cursor.epoch, str(cursor.ms), str(cursor.seq), cursor.entry_id]
    except InvalidCursor:
        pass
    assert parsers.ask("cursor", text) == expected


LINES = st.sampled_from(
    [b"event: a", b"data: {}", b"event:a", b"data:", b"id: 1", b"id", b"retry: 1", b": c", b""]
)
FRAMES = st.lists(LINES | st.binary(max_size=3), max_size=5).flatmap(
    lambda lines: st.sampled_from([b"\n\n", b"\n", b"", b"\n\n\n", b"\r\n\r\n"]).map(
        lambda end: b"\n".join(lines) + end
    )
)


@seed(SEED)
@thorough
@given(FRAMES | st.builds(lambda a, b: b"event: " + a + b"\ndata: " + b + b"\n\n", NAMES, NAMES))
def test_a_frame_is_one_event_and_one_line_of_data(parsers: Parsers, text: bytes) -> None:
    sound = re.fullmatch(rb"event: ([^\r\n\0]+)\ndata: [^\r\n\0]*\n\n", text)
    is_own = sound is not None and sound[1] in (b"reset", b"error", b"open")
    assert parsers.ask("frame", text) == (sound is not None and not is_own and is_utf8(text))


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@seed(SEED)
@thorough
@given(st.binary(max_size=140) | NAMES | st.from_regex(rb"\A[a-z][a-z0-9_.-]{60,66}\Z"))
def test_what_gets_into_a_frame_from_a_header_cannot_end_its_line(
    parsers: Parsers, text: bytes
) -> None:
    assert parsers.ask("event_type", text) == bool(re.fullmatch(rb"[a-z][a-z0-9_.-]{,63}", text))
    pattern = rb"[A-Za-z0-9][A-Za-z0-9_.:-]{,127}"
    assert parsers.ask("event_id", text) == bool(re.fullmatch(pattern, text))


def refuse_constant(name: str) -> None:
    raise ValueError(name)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
KEYS = st.text(max_size=4)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TOKENS = st.sampled_from(
    [*'{}[],:"\\', "\n", "\r", "\t", "\0", "\x7f", " ", "1", ".", "-", "e", "\\n", "\\u000a", '"a"']
)


@seed(SEED)
@thorough
@given(JSON, st.sampled_from([None, 1, "\t", "\r\n"]), st.booleans())
def test_json_of_several_lines_is_the_same_in_one(
    parsers: Parsers, value: Any, indent: Any, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    line = bytes.fromhex(parsers.ask("one_line", text.encode()))
    assert json.loads(line) == value
    assert not re.search(rb"[\x00-\x1f]", line)


@seed(SEED)
@thorough
@given(st.lists(TOKENS, max_size=12).map("".join) | st.text(max_size=12))
def test_one_line_never_holds_a_line_end_and_never_changes_what_is_json(
    parsers: Parsers, text: str
) -> None:
    answer = parsers.ask("one_line", text.encode("utf-8", "surrogatepass"))
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        # It need not be noticed here: the JSON reader comes next.
        if answer:
            outside = re.sub(
                rb'"(?:[^"\\]|\\.)*("|\Z)', b"", bytes.fromhex(answer), flags=re.DOTALL
            )
            assert not re.search(rb"[\r\n\x00]", outside.replace(b"\\", b""))
        return
    assert json.loads(bytes.fromhex(answer)) == value


HOSTS = st.sampled_from(["127.0.0.1", "redis", "redis.example", "a-b.c"])
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)


@seed(SEED)
@thorough
@given(
    st.sampled_from(["redis", "rediss"]),
    st.none() | st.tuples(st.just("") | WORDS, WORDS),
    HOSTS,
    st.none() | st.integers(1, 65535),
    st.none() | st.integers(0, 999),
)
def test_the_address_of_redis_is_the_same_for_both_clients(
    parsers: Parsers,
    scheme: str,
    login: tuple[str, str] | None,
    host: str,
    port: int | None,
    database: int | None,
) -> None:
    userinfo = f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@" if login else ""
    url = f"{scheme}://{userinfo}{host}{f':{port}' if port else ''}"
    url += f"/{database}" if database is not None else ""
    python: Any = parse_url(url)  # type: ignore[no-untyped-call]
    lua = parsers.ask("redis_url", url.encode())
    assert lua["host"] == python["host"]
    assert lua["port"] == python.get("port", 6379)
    assert lua["db"] == python.get("db", 0)
    assert lua["tls"] == (scheme == "rediss")
    for name, of_python in (("user", "username"), ("password", "password")):
        assert lua.get(name) == (
            python[of_python].encode().hex() if python.get(of_python) else None
        )


@seed(SEED)
@thorough
@given(st.text(max_size=30) | st.lists(TOKENS | HOSTS, max_size=6).map("redis://".join))
def test_no_text_for_an_address_of_redis_raises(parsers: Parsers, text: str) -> None:
    answer = parsers.ask("redis_url", text.encode("utf-8", "surrogatepass"))
    assert answer.get("sentence", "write").startswith("write")
