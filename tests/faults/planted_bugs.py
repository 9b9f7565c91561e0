"""Bugs that a push gateway might have, planted one at a time in a build of its own.

Each takes away one thing that keeps the promises, and names what is done to such a build. The
checker must find each: a check that finds none of them proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.evidence import Kind
from tests.faults.stage.build import Edit

LOST, TWICE, OUT_OF_ORDER = Kind.LOST, Kind.TWICE, Kind.OUT_OF_ORDER
UNTOLD, UNBALANCED, NOT_BACK = Kind.UNTOLD, Kind.UNBALANCED, Kind.NOT_BACK


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """One bug.

    Attributes:
        name: what is wrong, in a few words.
        edits: what plants it.
        found_as: any of these is right.
        faults: what is injected, in this order; without any, load alone shows it.
        seconds: for how long there is load after that.
    """

    name: str
    edits: tuple[Edit, ...]
    found_as: tuple[Kind, ...]
    faults: tuple[str, ...] = ()
    seconds: float = 5.0


def _lua(name: str, old: str, new: str) -> Edit:
    return Edit(f"lua/pushgate/{name}.lua", old, new)


def _script(name: str, old: str, new: str) -> Edit:
    return Edit(f"pushgate/scripts/{name}.lua", old, new)


_NO_FENCING = _script(
    "holds_lease", 'return redis.call("GET", lease_key) == lease_of(holder)', "return true"
)
_FINISHED_AGAIN = _script(
    "finish",
    'local is_there = call("XDEL", KEYS[1], entry_id) == 1',
    'call("XDEL", KEYS[1], entry_id)\n    local is_there = true',
)
_PASSED_ON = """\
    if ms > subscriber.ms or (ms == subscriber.ms and seq > subscriber.seq) then
        subscriber.ms, subscriber.seq = ms, seq
        subscriber.passed"""

PLANTED_BUGS = (
    # On the way from the site to the queue.
    PlantedBug(
        "an event is written on a connection of its own, past the rollback",
        (
            Edit(
                "django_hooks/outbox_writer.py",
                "    if len(events) == 1:\n        values",
                "    from django.db import connections\n\n"
                '    connection = connections.create_connection("default")\n'
                "    if len(events) == 1:\n        values",
            ),
        ),
        (UNTOLD,),
    ),
    PlantedBug(
        "an event is written after the commit",
        (
            Edit(
                "django_hooks/recorder.py",
                "        write_events(events, connection)\n",
                "        def later() -> None:\n"
                "            from pushgate.crash_point import crash_point\n\n"
                '            crash_point("site.after_commit")\n'
                "            write_events(events, connection)\n\n"
                "        transaction.on_commit(later, using=using)\n",
            ),
        ),
        (UNTOLD,),
        ("crash site.after_commit", "crash site.after_commit"),
    ),
    PlantedBug(
        "of a bulk write only the first event is written",
        (
            Edit(
                "django_hooks/outbox_writer.py",
                "for part in _statements(events):",
                "for part in _statements(events[:1]):",
            ),
        ),
        (UNTOLD,),
    ),
    PlantedBug(
        "deletions are not told",
        (
            Edit(
                "django_hooks/recorder.py",
                "    held = _held_deletions.get()\n    if held is not None and held.using",
                "    return\n    held = _held_deletions.get()\n"
                "    if held is not None and held.using",
            ),
        ),
        (UNTOLD,),
    ),
    PlantedBug(
        "the relay does not wait for slower transactions",
        (
            Edit(
                "django_hooks/outbox.py",
                "        newest_id, writers = self._newest_and_writers(after)\n",
                "        newest_id, writers = self._newest_and_writers(after)\n"
                "        return newest_id\n",
            ),
        ),
        (LOST, UNBALANCED),
        ("link site-database: slow", "link site-database: slow"),
    ),
    PlantedBug(
        "the relay moves its mark before it appends",
        (
            Edit(
                "django_hooks/outbox_stream.py",
                "        try:\n            __import__",
                "        mark = batch[-1][0]\n"
                "        queue._client.hset(queue._keys.relay, self._source, mark)\n"
                "        try:\n            __import__",
            ),
        ),
        (LOST, UNBALANCED),
        ("crash relay.before_append", "crash relay.before_append"),
    ),
    PlantedBug(
        "a full partition drops its oldest jobs",
        (
            _script(
                "forward",
                'call("XADD", KEYS[3 + place], "*", "event", ARGV[6 + row])',
                'call("XADD", KEYS[3 + place], "MAXLEN", 5, "*", "event", ARGV[6 + row])',
            ),
        ),
        (LOST, UNBALANCED),
        ("formatter: stopped for longer than leases last",),
    ),
    # In the formatter and its scripts.
    PlantedBug(
        "no fencing, and no look whether a job was finished before",
        (_NO_FENCING, _FINISHED_AGAIN),
        (TWICE, OUT_OF_ORDER, UNBALANCED),
        ("formatter worker: stopped for longer than leases last",) * 3,
    ),
    PlantedBug(
        "a finish repeated after a time-out publishes again",
        (_FINISHED_AGAIN,),
        (TWICE, UNBALANCED),
        ("link formatter-redis: replies lost",) * 3,
    ),
    PlantedBug(
        "a job leaves the queue when it is claimed",
        (
            _FINISHED_AGAIN,
            _script(
                "claim",
                "    local attempts = 1\n",
                '    local attempts = 1\n    redis.call("XDEL", KEYS[1], entry_id)\n',
            ),
        ),
        (LOST, UNBALANCED),
        ("crash formatter.before_finish", "crash formatter.after_claim"),
    ),
    PlantedBug(
        "what ended together is published last first",
        (
            Edit(
                "formatter/partition.py",
                "self._ask(partial(self._queue.finish, self.lease, ended))",
                "self._ask(partial(self._queue.finish, self.lease, ended[::-1]))",
            ),
        ),
        (OUT_OF_ORDER,),
    ),
    PlantedBug(
        "a dead process keeps its leases",
        (Edit("pushgate/leases.py", "LEASE_SECONDS = 3.0", "LEASE_SECONDS = 3000.0"),),
        (NOT_BACK,),
        ("formatter: kill -9",),
    ),
    PlantedBug(
        "finished jobs stay in the books as queued",
        (_script("finish", 'redis.call("HINCRBY", KEYS[5], "queued", -#ended)\n', ""),),
        (UNBALANCED,),
    ),
    PlantedBug(
        "of several frames in one millisecond the history has the first",
        (
            _script(
                "append_frames",
                "        local history_key = KEYS[i]\n        local added = redis.pcall(",
                "        local history_key = KEYS[i]\n"
                '        local added = id:sub(-2) == "-0" and redis.pcall(',
            ),
        ),
        (LOST,),
        ("gateway: reload", "link readers-gateway: cut"),
    ),
    PlantedBug(
        "histories are cut without a trace",
        (
            _script(
                "append_frames",
                '        local surplus = call("XLEN", history_key) - history_length\n',
                '        call("XTRIM", history_key, "MAXLEN", 20)\n'
                '        local surplus = call("XLEN", history_key) - history_length\n',
            ),
        ),
        (LOST,),
        ("gateway: reload", "gateway: stopped for longer than leases last"),
    ),
    # In the gateway.
    PlantedBug(
        "history is read before the channels' counters are taken",
        (
            _lua(
                "subscribe",
                "    if not ok then\n        return nil, err\n    end\n    return subscriber\n",
                "    if not ok then\n        return nil, err\n    end\n"
                "    ngx.sleep(0.05)\n"
                "    for i, name in ipairs(names) do\n"
                "        counts[i], stamps[i] = recent.count(name)\n"
                "    end\n"
                "    return subscriber\n",
            ),
        ),
        (LOST,),
        ("gateway: reload",) * 3,
    ),
    PlantedBug(
        "the end of a history is left out",
        (
            _lua(
                "head",
                "    for i = 1, #entries do\n        local entry = entries[i]\n        -- Other",
                "    for i = 1, #entries - 1 do\n        local entry = entries[i]\n"
                "        -- Other",
            ),
        ),
        (LOST,),
        ("gateway: reload",),
    ),
    PlantedBug(
        "one resume in five is answered with a reset",
        (
            _lua(
                "head",
                "    if found.reset then\n        if found.reset ==",
                '    found.reset = found.reset or (random() < 0.2 and "history")\n'
                "    if found.reset then\n        if found.reset ==",
            ),
        ),
        (Kind.FALSE_RESET,),
        ("gateway: reload",),
    ),
    PlantedBug(
        "who resumes is given what another one had asked for",
        (
            _lua(
                "reads",
                "    for _, question in ipairs(batch) do\n        local replies\n",
                "    _M.held = _M.held or all\n    all = _M.held\n"
                "    for _, question in ipairs(batch) do\n        local replies\n",
            ),
        ),
        (LOST, Kind.WRONG_CHANNEL, Kind.FALSE_RESET, NOT_BACK),
        ("gateway: reload", "gateway: reload"),
    ),
    PlantedBug(
        "a frame of history differs from the live one in a byte",
        (
            _lua(
                "head",
                'frames.with_id(epoch .. "." .. entry.id, entry.frame)',
                'frames.with_id(epoch .. "." .. entry.id, (entry.frame:gsub("}\\n", "} \\n", 1)))',
            ),
        ),
        (Kind.OTHER_BYTES,),
        ("gateway: reload",),
    ),
    PlantedBug(
        "frames that are handed over again are not dropped",
        (
            _lua(
                "subscribe",
                _PASSED_ON,
                "    if true then\n        subscriber.ms, subscriber.seq = ms, seq\n"
                "        subscriber.passed",
            ),
        ),
        (TWICE, OUT_OF_ORDER),
        ("crash gateway.after_hand_over",) * 3,
    ),
    PlantedBug(
        "a new tail begins at the log's end",
        (
            _lua(
                "tail",
                "    local books = position.books()\n    local done = books.position\n",
                "    local books = position.books()\n"
                "    if not run.has_begun then\n"
                "        run.has_begun = true\n"
                "        books.position = position.ask(connection) or books.position\n"
                "        position.hand_over(books)\n"
                "    end\n"
                "    local done = books.position\n",
            ),
        ),
        (LOST, UNBALANCED),
        ("crash gateway.before_hand_over",) * 3,
    ),
    PlantedBug(
        "what is read is booked before it is handed over",
        (
            _lua(
                "tail",
                "        local taken, for_good = 0, false\n",
                "        local taken, for_good = 0, false\n"
                '        book(books, "handed_over", entries, from, #entries)\n',
            ),
        ),
        (LOST, UNBALANCED, Kind.FALSE_RESET),
        ("crash gateway.before_hand_over",) * 2,
    ),
    PlantedBug(
        "an entry that the engine does not take at once is passed over",
        (
            _lua(
                "tail",
                "            if not told and taken == 0 then\n                trouble(run, err)\n",
                "            if not told and taken == 0 then\n"
                '                book(books, "handed_over", entries, from, from)\n'
                "                from = from + 1\n                trouble(run, err)\n",
            ),
        ),
        (LOST, UNBALANCED, Kind.FALSE_RESET),
        ("crash gateway.before_taking",) * 8,
    ),
    PlantedBug(
        "a frame goes to the next thread's readers too",
        (
            _lua(
                "log_entries",
                "            entry.malformed, malformed = malformed, 0\n",
                "            entry.malformed, malformed = malformed, 0\n"
                '            local number = entry.names[1]:match("^thread:(%d+)$")\n'
                '            entry.names[#entry.names + 1] = number and "thread:" .. number + 1\n',
            ),
        ),
        (Kind.WRONG_CHANNEL,),
    ),
    PlantedBug(
        "nobody is told that the log lost what it had shown",
        (
            _lua("continuity", '    state:set("tail:untold", frames.EPOCH)\n', ""),
            _lua(
                "subscribe",
                '        return reset(subscriber, "epoch", now)\n    end\n    local ms, seq',
                "        move(subscriber, at)\n        return nil\n    end\n    local ms, seq",
            ),
            _lua(
                "subscribe",
                '        parts[#parts + 1] = reset(subscriber, "epoch", now)\n',
                "        move(subscriber, now)\n",
            ),
        ),
        (LOST, TWICE, OUT_OF_ORDER, NOT_BACK),
        ("Redis: FLUSHALL",),
    ),
)
