"""Child processes for stages that need a core of their own, or must not harm anybody else.

A call blocks the calling greenlet alone. A child that dies, takes too long or answers with too much
is killed and replaced; its caller is told by an exception.

Why not another's pool: `multiprocessing.Pool` and `concurrent.futures.ProcessPoolExecutor`, and
loky and billiard which are built like them, move results by threads and blocking pipes, which
gevent's documentation says hangs a patched process. gevent's own thread pool keeps the GIL. gipc
has pipes for gevent, but no pool, deadline or bound, and its children are forks of the parent with
all of its connections. Here a child is a fresh interpreter at the other end of a socket, and the
module uses nothing but what gevent patches, so it works in an unpatched process as well.
"""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from formatter.child import Child
from formatter.errors import PoolClosed, ProcessDied
from formatter.pool_process import PICKLE_PROTOCOL, begin

MOST_RESULT_BYTES = 8 * 1024 * 1024

Result = TypeVar("Result")


class ProcessPool:
    """Calls functions in child processes.

    A child is started when it is first needed, from the calling thread, which must live as long as
    the pool. Then it is kept; it dies with this process, however that happens.

    Args:
        size: how many children there may be; further callers wait their turn.
        name: what errors and the process list call the children.
        memory_bytes: how much address space a child may have; what needs more gets a MemoryError.
            None for no limit.
        prepare: called in each child when it starts, outside of anybody's deadline: to import what
            it will need, say. It is pickled.
        result_bytes: how much a call may return, pickled.
    """

    def __init__(
        self,
        size: int,
        *,
        name: str = "pool",
        memory_bytes: int | None = None,
        prepare: Callable[[], object] | None = None,
        result_bytes: int = MOST_RESULT_BYTES,
    ) -> None:
        if size < 1:
            raise ValueError(f"size {size}: use at least one process")
        self._name = name
        self._memory_bytes = memory_bytes or 0
        self._first_call = pickle.dumps((begin, (prepare,)), PICKLE_PROTOCOL)
        self._result_bytes = result_bytes
        self._lock = threading.Lock()
        # None stands for a child that has not been started. The last one is the next to be used.
        self._idle: list[Child | None] = [None] * size
        self._turns: deque[_Turn] = deque()
        self._children: set[Child] = set()
        self._closed = False

    @property
    def pids(self) -> set[int]:
        """The children's process ids."""
        with self._lock:
            return {child.pid for child in self._children}

    @property
    def waiting(self) -> int:
        """How many callers wait for their turn."""
        return len(self._turns)

    def call(self, function: Callable[..., Result], *args: object, seconds: float) -> Result:
        """Calls `function(*args)` in a child.

        Args:
            function: one that a module holds by its own name; it and the arguments are pickled.
            seconds: how long the call may take once it is its turn.

        Returns:
            A copy of what it returned.

        Raises:
            Exception: what the function raised. An error that cannot be pickled is a RuntimeError
                with its text, or a TransientError if it was one.
            DeadlineExceeded: it took longer.
            ProcessDied: the child ended.
            ResultTooLarge: it returned more than `result_bytes`.
            NoProcess: the child could not be started.
            PoolClosed: the pool is closed, or was before it was done.
        """
        request = pickle.dumps((function, args), PICKLE_PROTOCOL)
        child = self._take()
        try:
            if child is not None and not child.alive:
                self._forget(child)
                child = None
            if child is None:
                child = self._start()
            answer = child.ask(request, seconds)
        except BaseException as error:
            # Also when the caller was interrupted: nobody else may get the answer that still comes.
            try:
                if child is not None:
                    self._forget(child)
            finally:
                self._put_back(None)
            if self._closed and isinstance(error, ProcessDied):
                raise self._refusal() from None
            raise
        self._put_back(child)
        result: Result = answer.unwrap()
        return result

    def close(self) -> None:
        """Kills the children, whatever they do, and refuses further calls."""
        with self._lock:
            self._closed = True
            children = list(self._children)
            turns = list(self._turns)
            self._turns.clear()
        for turn in turns:
            turn.come(None)
        for child in children:
            child.kill()
        for child in children:
            self._forget(child)

    def _start(self) -> Child:
        child = Child(self._name, self._memory_bytes, self._first_call, self._result_bytes)
        with self._lock:
            self._children.add(child)
            closed = self._closed
        if closed:
            self._forget(child)
            raise self._refusal()
        return child

    def _forget(self, child: Child) -> None:
        with self._lock:
            self._children.discard(child)
        child.end()

    def _take(self) -> Child | None:
        with self._lock:
            if self._closed:
                raise self._refusal()
            if self._idle:
                return self._idle.pop()
            turn = _Turn()
            self._turns.append(turn)
        try:
            turn.came.wait()
        except BaseException:
            with self._lock:
                if turn in self._turns:
                    self._turns.remove(turn)
                    raise
            self._put_back(turn.child)
            raise
        if self._closed:
            self._put_back(turn.child)
            raise self._refusal()
        return turn.child

    def _put_back(self, child: Child | None) -> None:
        with self._lock:
            if self._turns:
                # Handed over, so that callers are served in the order they came.
                self._turns.popleft().come(child)
            elif child is None:
                self._idle.insert(0, None)
            else:
                self._idle.append(child)

    def _refusal(self) -> PoolClosed:
        return PoolClosed(f"{self._name}: the pool is closed")


class _Turn:
    """A caller's place in the queue."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.child: Child | None = None

    def come(self, child: Child | None) -> None:
        self.child = child
        self.came.set()


_current: ProcessPool | None = None


def use(pool: ProcessPool | None) -> None:
    """Has stages marked `cpu_heavy` run in this pool from now on; None: where they are called."""
    global _current
    _current = pool


def current() -> ProcessPool | None:
    """The pool that stages marked `cpu_heavy` run in, if any."""
    return _current
