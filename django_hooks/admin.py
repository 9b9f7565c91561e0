"""The control panel's place in Django's admin.

Registered with the default admin site when that is used. A site with an AdminSite of its own says
`my_admin.register(ControlPanel, ControlPanelAdmin)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

import redis
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from django_hooks import connections
from django_hooks.figures import take_figures
from django_hooks.models import ControlPanel
from django_hooks.panel import actions, live
from django_hooks.panel.actions import Done
from django_hooks.settings import hooks_settings
from pushgate.connection import away

LETTERS_ON_A_PAGE = 50
NEWEST_LETTERS = 5
RECENT_ACTIONS = 8

_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}", re.ASCII)

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[ControlPanel]
else:
    _ModelAdmin = admin.ModelAdmin

View = Callable[..., HttpResponse]


@admin.register(ControlPanel)
class ControlPanelAdmin(_ModelAdmin):
    """The control panel. It has no rows: its pages stand where a model's list would be."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is nothing to add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is nothing to delete."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether one may see the panel. Who may act in it may see it."""
        may_view = request.user.has_perm("django_hooks.view_controlpanel")
        return may_view or self.has_operate_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether one may act in the panel."""
        return request.user.has_perm("django_hooks.operate_controlpanel")

    def get_urls(self) -> list[URLPattern]:
        """Return the panel's pages in place of a model's."""
        shows: dict[str, tuple[str, View]] = {
            "changelist": ("", self.panel_view),
            "figures": ("figures/", self.figures_view),
            "dead": ("dead-letters/", self.dead_letters_view),
            "newer": ("dead-letters/newer/", self.newer_view),
            # Where the entries of the admin's own log point to.
            "change": ("<path:part>/change/", self.part_view),
        }
        acts: dict[str, tuple[str, View]] = {
            "act_on_dead": ("dead-letters/act/", self.act_on_dead_view),
            "pause": ("partitions/<int:partition>/pause/", self.pause_view),
            "resume": ("partitions/<int:partition>/resume/", self.resume_view),
            "publish": ("publish/", self.publish_view),
        }
        return [
            path(address, self.admin_site.admin_view(guard(view)), name=self._name(name))
            for guard, views in ((self._showing, shows), (self._acting, acts))
            for name, (address, view) in views.items()
        ]

    def panel_view(self, request: HttpRequest) -> HttpResponse:
        """Show everything at a glance."""
        return self._page(
            request,
            "panel",
            "Control panel",
            {
                **self._figures(request),
                "recent_actions": _recent_actions(),
                "gateway": hooks_settings().gateway_url.rstrip("/"),
                "channel": live.CHANNEL,
                "type": live.TYPE,
                "test_channel": "thread:1",
            },
        )

    def figures_view(self, request: HttpRequest) -> HttpResponse:
        """Return the part of the panel that changes, for the page's script."""
        return self._page(request, "figures", "Control panel", self._figures(request))

    def dead_letters_view(self, request: HttpRequest) -> HttpResponse:
        """List dead letters, the newest first."""
        control = connections.control()
        before = _checked_id(request.GET.get("before", ""))
        letters = control.dead_letters(LETTERS_ON_A_PAGE + 1, before or None)
        shown = letters[:LETTERS_ON_A_PAGE]
        context = {
            "letters": shown,
            "count": control.count_dead_letters(),
            "before": before,
            "older": shown[-1].entry_id if len(letters) > len(shown) else "",
            "newest": (shown[0].entry_id if shown else "0-0") if not before else "",
            "most_at_once": actions.MOST_AT_ONCE,
        }
        return self._page(request, "dead_letters", "Dead letters", context)

    def newer_view(self, request: HttpRequest) -> HttpResponse:
        """Say how many dead letters came after the ones shown, for the page's script."""
        control = connections.control()
        control.watch()
        newest = _checked_id(request.GET.get("newest", "")) or "0-0"
        context = {"newer": control.count_dead_letters_after(newest)}
        return self._page(request, "newer", "Dead letters", context)

    def part_view(self, request: HttpRequest, part: str) -> HttpResponse:
        """Show the panel: there is no page for one part of it."""
        return redirect(self._address("dead" if part == "dead letters" else "changelist"))

    def act_on_dead_view(self, request: HttpRequest) -> HttpResponse:
        """Retry or discard the dead letters chosen."""
        control = connections.control()
        chosen = [name for name in request.POST.getlist("letter") if _checked_id(name)]
        match request.POST.get("do"):
            case "retry":
                done = actions.retry(control, chosen)
            case "retry_all":
                done = actions.retry_all(control)
            case "discard" if chosen and "sure" not in request.POST:
                return self._page(request, "discard", "Are you sure?", {"chosen": chosen})
            case "discard":
                done = actions.discard(control, chosen)
            case _:
                done = actions.refused("Nothing was done: choose what to do.")
        return self._told(request, done, "dead")

    def pause_view(self, request: HttpRequest, partition: int) -> HttpResponse:
        """Pause a partition."""
        return self._told(request, actions.pause(connections.control(), partition))

    def resume_view(self, request: HttpRequest, partition: int) -> HttpResponse:
        """Resume a partition."""
        return self._told(request, actions.resume(connections.control(), partition))

    def publish_view(self, request: HttpRequest) -> HttpResponse:
        """Publish a test event."""
        channel, text = request.POST.get("channel", ""), request.POST.get("text", "")
        return self._told(request, actions.publish_test(channel, text, hooks_settings().partitions))

    def _figures(self, request: HttpRequest) -> dict[str, Any]:
        control = connections.control()
        control.watch()
        return {
            "figures": take_figures(control),
            "newest_letters": control.dead_letters(NEWEST_LETTERS),
        }

    def _page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        # Of several admin sites, the templates' links lead to this one.
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/django_hooks/controlpanel/{template}.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "opts": self.opts,
                "can_operate": self.has_operate_permission(request),
                "url": {name: self._address(name) for name in ("changelist", "figures", "dead")},
                **context,
            },
        ).render()

    def _showing(self, view: View) -> View:
        """Guard a view that only shows."""

        @wraps(view)
        def show(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            try:
                return view(request, *args, **kwargs)
            except redis.RedisError as error:
                template = "figures" if view == self.figures_view else "panel"
                context = {"trouble": away(error)}
                return self._page(request, template, "Control panel", context)

        return show

    def _acting(self, view: View) -> View:
        """Guard a view that acts."""

        @wraps(view)
        def act(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not self.has_operate_permission(request):
                raise PermissionDenied
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            try:
                return view(request, *args, **kwargs)
            except redis.RedisError as error:
                sentence = f"{away(error)} It is not known whether anything was done."
                return self._told(request, actions.refused(sentence))

        return act

    def _told(self, request: HttpRequest, done: Done, name: str = "changelist") -> HttpResponse:
        """Say what was done, log it, have the other open panels look, and go back."""
        messages.add_message(request, done.level, done.sentence)
        if done.part:
            self.log_change(request, ControlPanel(part=done.part), done.sentence)
            with suppress(redis.RedisError):
                live.look_again(connections.client(), connections.keys())
        return redirect(self._address(name))

    def _name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"

    def _address(self, name: str) -> str:
        return reverse(f"admin:{self._name(name)}", current_app=self.admin_site.name)


def _recent_actions() -> list[LogEntry]:
    of_panel = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(ControlPanel, for_concrete_model=False)
    )
    return list(of_panel.select_related("user").order_by("-action_time")[:RECENT_ACTIONS])


def _checked_id(text: str) -> str:
    """Return the id of a stream's entry; "" for anything else."""
    return text if _ENTRY_ID.fullmatch(text) else ""
