"""Pipelines of the mixins that reach outside, for a formatter that a test starts."""

from __future__ import annotations

import os

from formatter import Pipeline
from formatter.mixins import (
    CollapseBurstsMixin,
    DarktimeMixin,
    DropOldMixin,
    EnrichByHttpMixin,
    RateLimitMixin,
    RedactMixin,
)


class CommentPipeline(
    CollapseBurstsMixin, DarktimeMixin, RedactMixin, EnrichByHttpMixin, RateLimitMixin, Pipeline
):
    """All of them at once."""

    burst_types = ("comment.created",)
    burst_type = "comment.burst"
    burst_keeps = ("thread",)
    darktime_namespace = os.environ["DARK_NAMESPACE"]
    darktime_share = 1.0
    audiences = {"moderators:": ("ip",)}
    enrich_url = os.environ["API"] + "/users/{author}"
    enrich_target = "author_shown"
    enrich_fields = ("name",)
    rate_limit = "10000/second"


class TypingPipeline(RateLimitMixin, Pipeline):
    """At most three of a key in an hour."""

    rate_limit = "3/hour"


class ViewPipeline(CollapseBurstsMixin, DropOldMixin, Pipeline):
    """Collapses what is not too old."""

    burst_types = ("view.counted",)
    burst_type = "view.burst"
    longest_age_seconds = 3600


pipelines = {"view.": ViewPipeline, "comment.": CommentPipeline, "typing.": TypingPipeline}
