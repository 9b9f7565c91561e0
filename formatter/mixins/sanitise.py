"""HTML that is safe to show: nh3, the binding of Rust's ammonia, takes out everything that was not
allowed by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import nh3

from formatter.errors import InvalidPipelines
from formatter.mixins.needs import texts
from formatter.pipeline import Pipeline
from pushgate import Event

ALLOWED_TAGS = frozenset(
    {
        *("a", "blockquote", "br", "code", "em", "h3", "h4", "hr", "li", "ol", "p", "pre"),
        *("s", "strong", "ul"),
    }
)
"""What a comment may be made of. No pictures: they tell their server who reads."""

_SCRIPTED_TAGS = frozenset({"script", "style", "iframe", "object", "embed", "base", "form"})
_SCRIPTED_SCHEMES = frozenset({"javascript", "vbscript"})


class SafeHtml(Pipeline):
    """Says what HTML a reader may be shown; for mixins that show some.

    Attributes:
        allowed_tags: the elements; of others the text alone is left.
        allowed_attributes: the attributes of each element; `*` stands for all elements.
        allowed_url_schemes: what an address may begin with; relative ones are always allowed.
        link_rel: the `rel` that every link gets.
    """

    allowed_tags: Set[str] = ALLOWED_TAGS
    allowed_attributes: Mapping[str, Set[str]] = {"a": frozenset({"href", "title"})}
    allowed_url_schemes: Set[str] = frozenset({"http", "https", "mailto"})
    link_rel = "nofollow ugc noopener"

    def __init__(self) -> None:
        """Makes the sanitiser: that costs more than to use it.

        Raises:
            InvalidPipelines: what is allowed would let a script through, or nh3 refuses it.
        """
        super().__init__()
        try:
            self._refuse_scripts()
            cleaner = nh3.Cleaner(
                tags=set(self.allowed_tags),
                # Without "*" ammonia allows `lang` and `title` everywhere.
                attributes={
                    "*": set(),
                    **{tag: set(names) for tag, names in self.allowed_attributes.items()},
                },
                url_schemes=set(self.allowed_url_schemes),
                link_rel=self.link_rel,
            )
            cleaner.clean("<p>")
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidPipelines(f"{type(self).__name__}: the allowed HTML: {error}") from None
        self.sanitise = cleaner.clean

    def _refuse_scripts(self) -> None:
        attributes = {
            name.lower() for names in self.allowed_attributes.values() for name in set(names)
        }
        refused = {
            *(_SCRIPTED_TAGS & {tag.lower() for tag in self.allowed_tags}),
            *(_SCRIPTED_SCHEMES & {scheme.lower() for scheme in self.allowed_url_schemes}),
            *(name for name in attributes if name.startswith("on") or name == "srcdoc"),
        }
        if refused:
            raise ValueError(f"{', '.join(sorted(refused))} would let a script through")


class SanitiseHtmlMixin(SafeHtml):
    """Sanitises HTML that the event's data carries.

    Further attributes, of what is allowed: see `SafeHtml`.

    Attributes:
        html_names: the names in the data that hold HTML; what is not text there passes as it is.
    """

    html_names: tuple[str, ...] = ("html",)

    def __init__(self) -> None:
        """Reads the names.

        Raises:
            InvalidPipelines: `html_names` are none, or what `SafeHtml` says.
        """
        super().__init__()
        self._html_names = texts(self, "html_names")

    def transform(self, event: Event) -> Event:
        """See the class."""
        event = super().transform(event)
        data = event.data
        clean = {
            name: self.sanitise(data[name])
            for name in self._html_names
            if isinstance(data.get(name), str)
        }
        return event.with_data({**data, **clean}) if clean else event
