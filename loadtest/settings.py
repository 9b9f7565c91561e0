"""How much load, as environment variables and arguments say it."""

from __future__ import annotations

import argparse
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf

from loadtest.errors import LoadTestError

_DESCRIPTORS_OF_OUR_OWN = 200


@dataclass(frozen=True)
class LoadSettings:
    """How much load.

    Attributes:
        readers: open streams.
        threads: new threads they are spread over.
        commenters: writers at once, each on any of the threads.
        seconds: how long the commenters write, once all readers are connected.
        writes_per_second: of each commenter, on average.
        resuming_percent: how many of the readers drop their connection now and then and resume.
        seed: of everything drawn at random.
    """

    readers: int = 500
    threads: int = 20
    commenters: int = 10
    seconds: float = 60.0
    writes_per_second: float = 1.5
    resuming_percent: float = 20.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("readers", "threads", "commenters", "seconds", "writes_per_second"):
            if not 0 < getattr(self, name) < inf:
                raise LoadTestError(f"{name.upper()} {getattr(self, name)}: use a number above 0")
        if not 0 <= self.resuming_percent <= 100:
            raise LoadTestError(f"RESUMING_PERCENT {self.resuming_percent}: use 0 to 100")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> LoadSettings:
        """Read READERS, THREADS, COMMENTERS, SECONDS and so on; what is not there is the default.

        Raises:
            LoadTestError: a value is no number, or none that makes sense.
        """
        given = {}
        for field in fields(cls):
            text = environment.get(field.name.upper())
            if text:
                kind = type(getattr(cls, field.name))
                try:
                    given[field.name] = kind(text)
                except ValueError:
                    raise LoadTestError(
                        f"{field.name.upper()} {text!r}: use a {_WORDS[kind]}"
                    ) from None
        return cls(**given)

    @classmethod
    def from_arguments(
        cls, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> LoadSettings:
        """Read the command line; what it does not say, the environment says.

        Raises:
            LoadTestError: a value makes no sense.
        """
        defaults = cls.from_environment(environment)
        parser = argparse.ArgumentParser(
            prog="python -m loadtest.run",
            description="Readers and commenters against a running site, or one of its own. "
            "Ends with status 1 when a frame was lost, repeated or out of order, or a call failed.",
        )
        for field in fields(cls):
            default = getattr(defaults, field.name)
            parser.add_argument(
                "--" + field.name.replace("_", "-"),
                type=type(default),
                default=default,
                help=f"{field.name.upper()}, now {default:g}",
            )
        return cls(**vars(parser.parse_args(arguments)))

    def allow_descriptors(self) -> None:
        """Raise the limit of open files to what the readers need.

        Raises:
            LoadTestError: the system does not allow so many.
        """
        needed = self.readers + self.commenters + _DESCRIPTORS_OF_OUR_OWN
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft >= needed:
            return
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise LoadTestError(
                f"READERS {self.readers}: a process may have {hard} open files here; use at most "
                f"{hard - self.commenters - _DESCRIPTORS_OF_OUR_OWN} readers"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


_WORDS: Mapping[type, str] = {int: "whole number", float: "number"}
