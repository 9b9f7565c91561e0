"""Mixins worth having: each overrides one stage and lists what it needs from its host."""

from formatter.mixins.markdown import RenderMarkdownMixin
from formatter.mixins.permalink import PermalinkMixin

__all__ = ["PermalinkMixin", "RenderMarkdownMixin"]
