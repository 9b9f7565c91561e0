"""HTML made of an event's data by a Jinja2 template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from formatter.errors import InvalidPipelines
from formatter.mixins.needs import needed
from formatter.pipeline import Pipeline
from pushgate import Event, Frame


class RenderTemplateMixin(Pipeline):
    """Adds HTML, made by a Jinja2 template, to the event's data.

    The template knows the data's names, and the event's `event_id`, `object`, `version` and `at`.
    Every value is escaped; HTML that another mixin has made safe is put in as `{{ html|safe }}`. A
    name that the data lacks is an error for good: ask `{% if email is defined %}` first.

    It belongs to the stage `render`, so that with `RedactMixin` to the left of it each audience
    gets HTML made of what it may see.

    Attributes:
        template: the template's text, or
        template_name: its name, for `template_loader` to find.
        template_loader: a loader of Jinja's, `PackageLoader("mysite")` say; templates may include
            and extend what it finds.
        template_target: the name in the data that gets the HTML.
        template_filters: filters of the host's own, by name.
    """

    template: str | None = None
    template_name: str | None = None
    template_loader: BaseLoader | None = None
    template_target = "html"
    template_filters: Mapping[str, Callable[..., Any]] = {}

    def __init__(self) -> None:
        """Compiles the template.

        Raises:
            InvalidPipelines: there is none, or it is not well formed.
        """
        super().__init__()
        try:
            self._template = self._compiled()
        except TemplateError as error:
            raise InvalidPipelines(
                f"{type(self).__name__}: its template: {type(error).__name__}: {error}"
            ) from None

    def render(self, event: Event, channels: tuple[str, ...]) -> tuple[Frame, ...]:
        """See the class.

        Raises:
            jinja2.UndefinedError: the data lacks a name that the template shows.
        """
        html = self._template.render(
            event.data,
            event_id=event.id,
            object=event.object,
            version=event.version,
            at=event.at,
        )
        return super().render(event.with_data({**event.data, self.template_target: html}), channels)

    def _compiled(self) -> Template:
        # A site's templates are its own code; the sandbox keeps their slips from changing data
        # that other stages share.
        environment = ImmutableSandboxedEnvironment(
            autoescape=True,
            undefined=StrictUndefined,
            loader=self.template_loader,
            auto_reload=False,
        )
        environment.filters.update(self.template_filters)
        if self.template_name is not None:
            needed(self, RenderTemplateMixin, "template_loader", "PackageLoader('mysite')")
            return environment.get_template(self.template_name)
        return environment.from_string(
            needed(self, RenderTemplateMixin, "template", "<p>{{ text }}</p>")
        )
