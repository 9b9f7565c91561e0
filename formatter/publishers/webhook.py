"""Frames posted to a consumer: one each as a webhook, or many together as a firehose; both signed.

Signatures, headers and the meaning of answers follow the Standard Webhooks specification, 1.0.0.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

from formatter.publishers.endpoint import Endpoint, wrong_with
from formatter.publishers.item import Item
from formatter.publishers.publisher import Publisher
from formatter.publishers.signature import read_secrets, sign


class Webhook(Publisher):
    """Posts frames to one address as they come.

    With `batch=1` each is a request of its own, `application/json`:

        {"id", "type", "timestamp", "channels", "cursor", "data"}

    With a larger `batch` a request holds as many such lines as are waiting, `application/x-ndjson`.

    The consumer verifies `webhook-signature`, drops the items whose `id` it has (a webhook's
    `webhook-id` is that id; it is the same at every attempt), and answers 2xx within 20 s. After a
    gap, and at the beginning, it gets an item of the type `reset`.

    Args:
        name: see `Publisher`, and for what is not named here.
        url: https, or http within this machine and private networks.
        secret_variable: the environment variable that holds `whsec_<base64 of 24-64 bytes>`; two
            of them with a blank between while the consumer changes from one to the other.
        concurrency: how many requests at once; by default 8 for webhooks, 1 for a firehose, whose
            lines are then in the log's order, except that others overtake those sent again.
        insecure: have plain http go anywhere.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        secret_variable: str,
        channels: Sequence[str],
        types: Sequence[str] = (),
        batch: int = 1,
        concurrency: int | None = None,
        in_order: bool = True,
        give_up_seconds: float = 900.0,
        insecure: bool = False,
    ) -> None:
        if concurrency is None:
            concurrency = 8 if batch == 1 else 1
        super().__init__(
            name,
            channels=channels,
            types=types,
            batch=batch,
            concurrency=concurrency,
            in_order=in_order,
            give_up_seconds=give_up_seconds,
        )
        wrong = wrong_with(url, insecure)
        if wrong:
            raise self.invalid(wrong)
        if not secret_variable.isidentifier():
            raise self.invalid(
                "secret_variable: give the name of an environment variable, WEBHOOK_SECRET say; "
                "the secret itself does not belong into code"
            )
        self.url = url
        self.secret_variable = secret_variable
        self._secrets: tuple[bytes, ...] = ()
        self._endpoint = Endpoint(url, concurrency, "Pushgate-Webhook/1")

    def configure(self, environment: Mapping[str, str]) -> None:
        """Reads the secret."""
        text = environment.get(self.secret_variable)
        if text is None:
            raise self.invalid(
                f"the environment variable {self.secret_variable} is missing; set it to whsec_ and "
                "the base64 of 32 random bytes"
            )
        try:
            self._secrets = read_secrets(text)
        except ValueError as error:
            raise self.invalid(
                f"the environment variable {self.secret_variable} holds no secret: {error}"
            ) from None

    def send(self, items: Sequence[Item]) -> None:
        """See `Publisher.send`."""
        if self.batch == 1:
            (item,) = items
            self._post(item.id, item.to_json(), "application/json")
        else:
            body = b"".join(b"%b\n" % item.to_json() for item in items)
            # The same items have the same id, others never: by which a consumer may drop repeats.
            named = hashlib.sha256(" ".join(item.id for item in items).encode()).hexdigest()
            self._post(f"batch-{named[:32]}", body, "application/x-ndjson")

    def close(self) -> None:
        """See `Publisher.close`."""
        self._endpoint.close()

    def describe(self) -> str:
        """See `Publisher.describe`."""
        kind = "webhook" if self.batch == 1 else f"firehose in batches of {self.batch}"
        return f"{self.name}: {kind} of {', '.join(self.channels)} to {self.url}"

    def _post(self, webhook_id: str, body: bytes, content_type: str) -> None:
        timestamp = int(time.time())
        self._endpoint.post(
            body,
            {
                "content-type": content_type,
                "webhook-id": webhook_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(self._secrets, webhook_id, timestamp, body),
            },
        )
