"""Asks a thousand questions at once, patched by gevent as the worker is, of a server that answers
none before all have come; prints how many were answered.
"""

from gevent import monkey

monkey.patch_all()

from collections.abc import Iterable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event as Flag  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from formatter import Pipeline  # noqa: E402
from formatter.json_api import ApiLimits  # noqa: E402
from formatter.mixins import EnrichByHttpMixin  # noqa: E402
from pushgate import Event  # noqa: E402

QUESTIONS = 1_000

everybody_came = Flag()
came = 0


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers when all are there."""
    global came
    came += 1
    if came == QUESTIONS:
        everybody_came.set()
    everybody_came.wait()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"name": "%b"}' % environ["PATH_INFO"].encode()]


def main() -> None:
    """See the module."""
    server = WSGIServer(("127.0.0.1", 0), answer, backlog=QUESTIONS, log=None)
    server.start()

    class Comment(EnrichByHttpMixin, Pipeline):
        enrich_url = f"http://127.0.0.1:{server.server_port}/users/" + "{author}"
        enrich_target = "author_shown"
        enrich_fields = ("name",)
        enrich_limits = ApiLimits(seconds=60, wait_seconds=0)
        deadline_seconds = 90.0

    pipeline = Comment()
    events = [Event("comment.created", (f"thread:{n}",), {"author": n}) for n in range(QUESTIONS)]
    asking = [gevent.spawn(pipeline.enrich, event) for event in events]
    gevent.joinall(asking, raise_error=True)
    answers = [greenlet.get().data["author_shown"] for greenlet in asking]
    right = sum(answer == {"name": f"/users/{n}"} for n, answer in enumerate(answers))
    print(right, "answers")


if __name__ == "__main__":
    main()
