"""The formatter: turns events into frames, in pipelines made of mixins, in order for each key."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from formatter.errors import TransientError
    from formatter.heavy_stages import cpu_heavy
    from formatter.observers import Observer
    from formatter.pipeline import Pipeline
    from formatter.registry import Pipelines

__all__ = ["Observer", "Pipeline", "Pipelines", "TransientError", "cpu_heavy"]

# Found at first use: `python -m formatter` comes through here before gevent has patched, and must
# not import sockets on its way.
_HOMES = {
    "Observer": "formatter.observers",
    "Pipeline": "formatter.pipeline",
    "Pipelines": "formatter.registry",
    "TransientError": "formatter.errors",
    "cpu_heavy": "formatter.heavy_stages",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'formatter' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
