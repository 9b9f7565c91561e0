"""What a template needs for its stream: `{% load push %}`."""

from __future__ import annotations

from django import template
from django.db.models import Model

from django_hooks.page import page_cursor
from django_hooks.registry import registry
from django_hooks.settings import hooks_settings

register = template.Library()


@register.simple_tag
def push_cursor() -> str:
    """Return the position from which the page's stream must begin, or "" while Redis is down.

    It is taken where the tag stands, so it must stand above whatever makes the page's queries. A
    view that queries before it renders calls `django_hooks.page.page_cursor` first instead.
    """
    return page_cursor()


@register.simple_tag
def push_gateway() -> str:
    """Return what comes before `/sub/...`: the setting PUSHGATE["GATEWAY_URL"]."""
    return hooks_settings().gateway_url.rstrip("/")


@register.simple_tag
def push_receipts() -> str:
    """Return the share of connections that send receipts: the setting PUSHGATE["RECEIPTS"]."""
    return f"{hooks_settings().receipts:g}"


@register.simple_tag
def push_object(instance: Model) -> str:
    """Return the name by which events call this instance, `threads.comment:17`.

    It is what `<live-list>` knows its items by: `<li data-key="{% push_object comment %}">`.
    """
    hook = registry.hook_of(type(instance))
    return hook.object(instance) if hook else f"{instance._meta.label_lower}:{instance.pk}"


@register.simple_tag(takes_context=True)
def push_token(context: template.Context, *channels: str) -> str:
    """Return a token of the request's user, for who passes it on as `?token=`; "" for nobody.

    It opens exactly the channels given, or, where none is, what the user may see.
    """
    from django_hooks.tokens import mint

    return mint(context["request"].user, channels or None)
