"""A thread and what people say in it."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils import timezone

from django_hooks.querysets import PushManager


class Thread(models.Model):
    """A question or a subject that people talk about."""

    title = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the thread's page."""
        return reverse("threads:thread", args=[self.pk])


class Comment(models.Model):
    """What one person says: plain text, paragraphs parted by empty lines."""

    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="comments")
    author = models.CharField(max_length=80)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    edited_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Whoever reads the thread hears of bulk writes as well.
    objects = PushManager()

    class Meta:
        base_manager_name = "objects"
        indexes = [models.Index(fields=["thread", "-id"], name="comment_newest_of_thread")]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:40]}"

    def get_absolute_url(self) -> str:
        """Return the comment's place in its thread's page."""
        return f"{self.thread.get_absolute_url()}#comment-{self.pk}"

    def as_data(self) -> dict[str, object]:
        """Return what the API answers and what the comment's events carry."""
        return {
            "id": self.pk,
            "thread": self.thread_id,
            "author": self.author,
            "text": self.text,
            "created_at": self.created_at.isoformat(timespec="seconds"),
            "edited_at": self.edited_at.isoformat(timespec="seconds") if self.edited_at else None,
        }
