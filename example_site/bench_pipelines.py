"""The pipelines of `make bench`, which the formatter's process loads as it loads a site's own.

An event whose type none fits passes on as it is: the identity.
"""

from __future__ import annotations

import os
import time

from formatter import Pipeline, cpu_heavy
from formatter.mixins import EnrichByHttpMixin, PermalinkMixin, RedactMixin, RenderMarkdownMixin
from pushgate import Event

HEAVY_CPU_SECONDS = 0.02


class CommentPipeline(RedactMixin, RenderMarkdownMixin, PermalinkMixin, Pipeline):
    """What a site does with a comment: Markdown, sanitised, an address, and private fields."""

    audiences = {"moderators:": ("email", "ip")}
    permalink = "/threads/{thread}/#comment-{id}"


class DropPipeline(Pipeline):
    """Drops everything: a job that does nothing and leaves nothing."""

    def admit(self, event: Event) -> bool:
        """See the class."""
        return False


class EnrichedPipeline(EnrichByHttpMixin, Pipeline):
    """Asks an API for each event, whose address the environment has: each run's is another."""

    enrich_target = "author"
    enrich_fields = ("name", "avatar")

    def __init__(self) -> None:
        """Reads the address; one that nobody listens at when there is none."""
        origin = os.environ.get("BENCH_API_URL", "http://127.0.0.1:9")
        self.enrich_url = f"{origin}/comments/{{id}}/author"
        super().__init__()


class HeavyPipeline(Pipeline):
    """Computes for a while where it holds up nobody."""

    @cpu_heavy
    def transform(self, event: Event) -> Event:
        """See the class."""
        compute(HEAVY_CPU_SECONDS)
        return super().transform(event)


class FreezingPipeline(Pipeline):
    """Computes for the same while in the event loop's way, as a stage that is not marked does."""

    def transform(self, event: Event) -> Event:
        """See the class."""
        compute(HEAVY_CPU_SECONDS)
        return super().transform(event)


class SleepyPipeline(Pipeline):
    """Waits, so that jobs stay on the queue."""

    def transform(self, event: Event) -> Event:
        """See the class."""
        time.sleep(self.deadline_seconds - 5)
        return super().transform(event)


def compute(cpu_seconds: float) -> None:
    """Use the processor for so long, whoever else uses it meanwhile."""
    end = time.thread_time() + cpu_seconds
    while time.thread_time() < end:
        pass


pipelines: dict[str, type[Pipeline]] = {
    "comment.": CommentPipeline,
    "dropped.": DropPipeline,
    "enriched.": EnrichedPipeline,
    "heavy.": HeavyPipeline,
    "freezing.": FreezingPipeline,
    "sleepy.": SleepyPipeline,
}
