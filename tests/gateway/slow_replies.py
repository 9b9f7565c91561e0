"""A way to Redis on which replies are late, but for those of the tail: frames then go out while a
history that does not hold them is still on its way to the gateway. And one that can fall silent."""

import asyncio
import random
import threading
from contextlib import suppress

from stack.process import free_port


class SlowReplies:
    """Passes connections on to Redis in a thread of its own.

    Args:
        redis_port: where Redis listens, of 127.0.0.1.
        most_seconds: each read of replies is held back for a random time up to this.
        seed: decides how long.
    """

    def __init__(self, redis_port: int, most_seconds: float, seed: int) -> None:
        self.port = free_port()
        self._redis_port = redis_port
        self._most_seconds = most_seconds
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._answers: asyncio.Event
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SlowReplies":
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def fall_silent(self) -> None:
        """From now on nothing is passed on, and nothing is closed: connections are half open."""
        self._loop.call_soon_threadsafe(self._answers.clear)

    def answer_again(self) -> None:
        """What was held back is passed on, and all goes on."""
        self._loop.call_soon_threadsafe(self._answers.set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._answers = asyncio.Event()
        self._answers.set()
        serving = asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        server = self._loop.run_until_complete(serving)
        self._listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _pass_on(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        await self._answers.wait()
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._redis_port)
        of_the_tail = asyncio.Event()

        async def forward() -> None:
            while data := await client_reader.read(65536):
                if b"xread" in data:
                    of_the_tail.set()
                await self._answers.wait()
                redis_writer.write(data)
                await redis_writer.drain()
            redis_writer.close()

        async def backward() -> None:
            while data := await redis_reader.read(65536):
                if not of_the_tail.is_set():
                    await asyncio.sleep(self._random.random() * self._most_seconds)
                await self._answers.wait()
                client_writer.write(data)
                await client_writer.drain()
            client_writer.close()

        with suppress(OSError):
            await asyncio.gather(forward(), backward())
