"""What the threads tell their readers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_hooks.registry import Action, ModelHook, register
from example_site.threads.models import Comment


@register(Comment)
class CommentHook(ModelHook[Comment]):
    """`comment.created`, `comment.updated` and `comment.deleted` on the thread's channel."""

    def channels(self, instance: Comment, action: Action) -> list[str]:
        """Tell whoever reads the thread."""
        return [f"thread:{instance.thread_id}"]

    def data(self, instance: Comment, action: Action) -> Mapping[str, Any]:
        """Tell the whole comment, so that a page needs to ask for nothing."""
        return instance.as_data()
