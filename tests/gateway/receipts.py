"""Receipts as a page sends them, and what a gateway has counted of them."""

from contextlib import suppress

from prometheus_client.parser import text_string_to_metric_families

from stack.errors import DeadlineMissed
from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, ORIGIN
from tests.gateway.wire import WireAnswer, exchange, the_answer

HEAD = "pushgate-receipts 1\n"


def post(
    gateway: Gateway, body: str | bytes, origin: str = ORIGIN, headers: str = "", path: str = ""
) -> WireAnswer:
    """Sends receipts as a page does, and returns the one answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = [
        f"POST /receipts{path} HTTP/1.1",
        "Host: gateway.example",
        "Connection: close",
        "Content-Type: text/plain;charset=UTF-8",
        f"Content-Length: {len(data)}",
        *([f"Origin: {origin}"] if origin else []),
        *([headers] if headers else []),
    ]
    return the_answer(exchange(gateway, "\r\n".join([*lines, "", ""]).encode() + data))


Samples = dict[str, float]


def receipts_of(gateway: Gateway) -> Samples:
    """What is counted of receipts, by `name{label values}` without what all names have."""
    text = gateway.private("GET", "/metrics").body.decode()
    found = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith(("pushgate_receipts", "pushgate_commit_to_paint")):
            for sample in family.samples:
                name = sample.name.removeprefix("pushgate_").removesuffix("_total")
                found[" ".join([name, *sample.labels.values()])] = sample.value
    return found


class Counted:
    """How much the counts of a gateway have grown since this was made."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._before = receipts_of(gateway)

    def now(self) -> Samples:
        """What has grown, without what is at rest."""
        grown = {
            name: value - self._before.get(name, 0)
            for name, value in receipts_of(self._gateway).items()
        }
        return {name: value for name, value in grown.items() if value}

    def wait_for(self, **expected: float) -> None:
        """Waits until exactly this has grown, timings aside; `__` stands for a space."""
        wanted = {name.replace("__", " "): value for name, value in expected.items()}

        def grown() -> Samples:
            counts = self.now().items()
            return {name: value for name, value in counts if "commit_to_paint" not in name}

        with suppress(DeadlineMissed):
            wait_until(lambda: grown() == wanted, DEADLINE_SECONDS, "the counts are there")
        assert grown() == wanted
