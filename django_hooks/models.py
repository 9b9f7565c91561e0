"""The outbox: events that wait, in the site's own database, to be relayed. And the control panel,
which has no table: a model is what Django's admin and its permissions hang on."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class OutboxRow(models.Model):
    """One event, written in the transaction that made it true.

    The row is written while the object's own row is locked, so an object's later event has the
    higher id; the relay makes it the event's version. Ids are never given twice, not even after the
    rows are purged (Django's AutoField is AUTOINCREMENT on SQLite).
    """

    id = models.BigAutoField(primary_key=True)
    event = models.TextField(help_text="The event as JSON.")
    created_at = models.DateTimeField(default=timezone.now)
    refused = models.TextField(
        default="",
        blank=True,
        help_text="Why the relay could not read the event; such a row is kept, not relayed.",
    )

    class Meta:
        verbose_name = "outbox row"
        indexes = [
            # The few that somebody should look at, among many.
            models.Index(fields=["id"], condition=~models.Q(refused=""), name="outbox_refused"),
        ]

    def __str__(self) -> str:
        return f"outbox row {self.pk}"


class OutboxIdentity(models.Model):
    """Which outbox this is: one row. The relay's mark in Redis belongs to it, not to an address.

    A database made anew, or set back to a backup, counts its rows anew; under a new name the mark
    of the old ones cannot hide them. What was purged is counted in the transaction that deletes it,
    so rows there are and rows purged are together all that were ever committed.
    """

    ONLY_ID = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ID)
    name = models.UUIDField(default=uuid.uuid4)
    purged = models.BigIntegerField(default=0, help_text="Rows deleted once relayed.")
    purged_until = models.BigIntegerField(default=0, help_text="The highest id among them.")

    class Meta:
        verbose_name = "outbox identity"
        verbose_name_plural = "outbox identities"

    def __str__(self) -> str:
        return self.name.hex


class ControlPanel(models.Model):
    """A place in the control panel, as the admin's log names it: `partition 3`.

    It has permissions and no table: `view_controlpanel` shows the panel, `operate_controlpanel`
    lets one act in it.
    """

    part = models.CharField(max_length=200, primary_key=True)

    class Meta:
        managed = False
        default_permissions = ("view", "operate")
        verbose_name = "control panel"
        verbose_name_plural = "control panel"

    def __str__(self) -> str:
        return self.part
