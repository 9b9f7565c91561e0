"""Which pipeline an event goes through: chosen by its type."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module

from formatter.errors import InvalidPipelines
from formatter.pipeline import Pipeline


class Pipelines:
    """Maps event types, or their beginnings, to pipelines.

    Args:
        by_type: `comment.created` for that type alone, `comment.` for all types that begin so.
            The longest that fits is taken; a type that none fits passes on as it is.

    Raises:
        InvalidPipelines: a value is not a class of pipelines.
    """

    def __init__(self, by_type: Mapping[str, type[Pipeline]]) -> None:
        for name, pipeline in by_type.items():
            if not (isinstance(pipeline, type) and issubclass(pipeline, Pipeline)):
                raise InvalidPipelines(
                    f"pipeline of {name!r}: {pipeline!r} is not a subclass of formatter.Pipeline"
                )
        instances = {cls: cls() for cls in by_type.values()}
        self._exact = {n: instances[c] for n, c in by_type.items() if not n.endswith(".")}
        self._prefixes = sorted(
            ((n, instances[c]) for n, c in by_type.items() if n.endswith(".")),
            key=lambda entry: -len(entry[0]),
        )
        self._identity = Pipeline()
        self.for_type = lru_cache(maxsize=1024)(self._find)
        """The pipeline that events of a type go through."""

    def _find(self, event_type: str) -> Pipeline:
        exact = self._exact.get(event_type)
        if exact is not None:
            return exact
        for prefix, pipeline in self._prefixes:
            if event_type.startswith(prefix):
                return pipeline
        return self._identity


def load_pipelines(module_name: str) -> Pipelines:
    """Reads the attribute `pipelines` of a module: a dict as `Pipelines` takes it.

    Raises:
        InvalidPipelines: there is no such module or attribute, or it is not such a dict.
    """
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise InvalidPipelines(
            f"--pipelines {module_name}: there is no such module; is the site's folder on "
            "PYTHONPATH?"
        ) from None
    by_type = getattr(module, "pipelines", None)
    if not isinstance(by_type, dict):
        raise InvalidPipelines(
            f"--pipelines {module_name}: it needs pipelines = {{'comment.': CommentPipeline}}"
        )
    return Pipelines(by_type)
