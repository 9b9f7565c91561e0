"""A process that runs publishers alone, as the formatter does beside its worker.

python -m tests.integration.publishing '[["Webhook", "hook", "http://...", {...}], ...]'
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event as Flag  # noqa: E402

from formatter import publishers  # noqa: E402
from formatter.worker import new_owner  # noqa: E402
from pushgate import Keys, Leases, Settings, connect  # noqa: E402
from pushgate.leases import RENEW_SECONDS  # noqa: E402
from pushgate.positions import Positions  # noqa: E402

STOP_SECONDS = 8.0


def main() -> int:
    """Runs until SIGTERM; returns how many publishers had to be left at work."""
    logging.basicConfig(level=logging.INFO)
    settings = Settings.from_environment()
    client, keys = connect(settings.redis_url), Keys(settings.namespace)
    made = [
        getattr(publishers, kind)(name, url, **options)
        for kind, name, url, options in json.loads(sys.argv[1])
    ]
    for publisher in made:
        publisher.configure(os.environ)
    leases, owner = Leases(client, keys), new_owner()
    stopping = Flag()
    leases.attend(owner)
    running = publishers.start(made, leases, Positions(client, keys), owner)

    def stop() -> None:
        running.leave()
        stopping.set()

    gevent.signal_handler(signal.SIGTERM, stop)
    while not stopping.wait(RENEW_SECONDS):
        leases.attend(owner)
    at_work = running.stop(STOP_SECONDS)
    leases.leave(owner)
    return at_work


if __name__ == "__main__":
    sys.exit(main())
