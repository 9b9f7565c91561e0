"""The services of compose.yaml together, started in the order it asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.images.container import Container
from tests.images.postgres_stand_in import PostgresStandIn

ONE_SHOT = "migrate"
"""The service that ends by itself, before those that wait for its end."""


class Composition:
    """What `docker compose up --wait` starts.

    Args:
        folder: holds the image store and `compose.json`; made by docker/test_images.sh.
        logs: where each service's output goes.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        config = json.loads((folder / "compose.json").read_text(encoding="utf-8"))
        self.services: Mapping[str, Mapping[str, Any]] = config["services"]
        self.containers: dict[str, Container] = {}
        self._buildah = tuple((folder / "buildah").read_text(encoding="utf-8").split())
        self._logs = logs
        self._postgres = PostgresStandIn(
            self.services["postgres"], folder / "postgres", logs / "postgres.log"
        )

    @property
    def names(self) -> frozenset[str]:
        """What containers know each other by."""
        return frozenset(self.services)

    def start(self) -> None:
        """Start every service once those it waits for are healthy or have ended well."""
        for name in self._in_order():
            for other, wish in self.services[name].get("depends_on", {}).items():
                if wish["condition"] == "service_healthy":
                    self._part(other).wait_until_healthy()
            if name == "postgres":
                self._postgres.start()
                continue
            container = Container(
                self._buildah, name, self.services[name], self._logs / f"{name}.log"
            )
            self.containers[name] = container
            if name == ONE_SHOT:
                container.run_to_its_end()
            else:
                container.start()
        for name in self.services.keys() - {ONE_SHOT}:
            self._part(name).wait_until_healthy()

    def stop(self) -> None:
        """End every process, the last started first."""
        for container in reversed(self.containers.values()):
            container.end()
        self._postgres.end()

    def _part(self, name: str) -> Container | PostgresStandIn:
        return self._postgres if name == "postgres" else self.containers[name]

    def _in_order(self) -> Iterator[str]:
        started: set[str] = set()
        while waiting := self.services.keys() - started:
            ready = {n for n in waiting if self.services[n].get("depends_on", {}).keys() <= started}
            assert ready, f"{sorted(waiting)} wait for one another"
            yield from sorted(ready)
            started |= ready
