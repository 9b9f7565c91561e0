"""`manage.py push_relay`: moves outbox rows to the job queue, as long as it runs."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_hooks import wake
from django_hooks.panel.live import Beat
from django_hooks.relay import STANDBY_SECONDS, Relay, relay_of
from django_hooks.settings import hooks_settings
from pushgate import Keys, connect
from pushgate.leases import LEASE_SECONDS


class Command(BaseCommand):
    """Runs a relay. Several may run; one works, the others stand by."""

    help = "Moves outbox rows to the job queue. Run it beside the site, best twice."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--once`."""
        parser.add_argument(
            "--once", action="store_true", help="move what is there, then end; fails if it cannot"
        )

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Run until SIGTERM or SIGINT, or `--once`."""
        settings = hooks_settings()
        relay = relay_of(settings)
        if once:
            with relay.watch:
                moved = self._run_once(relay)
            self.stdout.write(f"Moved {moved} rows.")
            return
        stop = threading.Event()

        def end(*_: object) -> None:
            stop.set()
            # It may be waiting for rows, which a signal does not interrupt.
            wake.nudge()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        beat = Beat(
            connect(settings.redis_url), Keys(settings.namespace), settings.partitions, relay.owner
        )
        threading.Thread(target=beat.run, args=(stop,), name="pushgate-beat", daemon=True).start()
        relay.run(stop)

    def _run_once(self, relay: Relay) -> int:
        moved = 0
        give_up_at = time.monotonic() + 2 * LEASE_SECONDS
        try:
            while True:
                turn = relay.turn()
                moved += turn.moved
                if turn.leads and not (turn.more or turn.held_back or turn.full or turn.failed):
                    return moved
                if turn.more:
                    continue
                if time.monotonic() > give_up_at:
                    raise CommandError(f"Not all rows could be moved: {_reason(turn)}.")
                time.sleep(STANDBY_SECONDS / 4)
        except redis.RedisError as error:
            raise CommandError(f"Redis cannot be reached: {error}") from error
        finally:
            relay.release()


def _reason(turn: Any) -> str:
    if not turn.leads:
        return "another relay leads and does it"
    if turn.full:
        return "the job queue is full; is a formatter running?"
    if turn.failed:
        return "a database cannot be read"
    return "a transaction that wrote to the outbox has not ended"
