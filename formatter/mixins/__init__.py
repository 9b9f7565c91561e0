"""Mixins worth having: each overrides one stage and lists what it needs from its host."""

from formatter.mixins.age import DropOldMixin
from formatter.mixins.collapse import CollapseBurstsMixin
from formatter.mixins.darktime import DarktimeMixin
from formatter.mixins.flags import FlagMixin
from formatter.mixins.http import EnrichByHttpMixin
from formatter.mixins.markdown import RenderMarkdownMixin
from formatter.mixins.permalink import PermalinkMixin
from formatter.mixins.rate_limit import RateLimitMixin
from formatter.mixins.redact import RedactMixin
from formatter.mixins.route import RouteMixin
from formatter.mixins.sanitise import SanitiseHtmlMixin
from formatter.mixins.template import RenderTemplateMixin

__all__ = [
    "CollapseBurstsMixin",
    "DarktimeMixin",
    "DropOldMixin",
    "EnrichByHttpMixin",
    "FlagMixin",
    "PermalinkMixin",
    "RateLimitMixin",
    "RedactMixin",
    "RenderMarkdownMixin",
    "RenderTemplateMixin",
    "RouteMixin",
    "SanitiseHtmlMixin",
]
