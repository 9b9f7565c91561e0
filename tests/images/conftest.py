"""The containers of docker/compose.yaml, for tests that `make test-images` alone runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.composition import Composition
from tests.images.name_server import NameServer

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests out of a run that does not name their folder: they need images."""
    asked_for = (Path(config.invocation_params.dir, word.split("::")[0]) for word in config.args)
    return None if any(path.resolve().is_relative_to(HERE) for path in asked_for) else True


@pytest.fixture(scope="session")
def composition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """Every service of compose.yaml, started in its order and healthy."""
    # Asked to end, we stop the containers first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = os.environ.get("PUSHGATE_IMAGES")
    assert folder, "these tests need built images; run: make test-images"
    services = Composition(Path(folder), tmp_path_factory.mktemp("logs"))
    with NameServer(services.names):
        try:
            services.start()
            yield services
        finally:
            services.stop()
