"""The formatter: turns events into frames, in pipelines made of mixins, in order for each key."""

from formatter.errors import TransientError
from formatter.pipeline import Pipeline
from formatter.registry import Pipelines

__all__ = ["Pipeline", "Pipelines", "TransientError"]
