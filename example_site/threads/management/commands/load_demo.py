"""`manage.py load_demo`: a few threads, so that the first page is not empty."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.core.management.color import no_style
from django.db import connection, transaction
from django.utils import timezone

from django_hooks.switch import hooks_disabled
from example_site.threads.models import Comment, Thread

DEMO_THREADS = Path(__file__).parents[2] / "demo_threads.json"


class Command(BaseCommand):
    """Loads the demo threads into a site that has none; nobody is told of them."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Load all of them or, where any thread is, none."""
        with transaction.atomic():
            if Thread.objects.exists():
                self.stdout.write("The site has threads already.")
                return
            with hooks_disabled():
                loaded = load(json.loads(DEMO_THREADS.read_text(encoding="utf-8")))
        self.stdout.write(f"Loaded {loaded} threads.")


@hooks_disabled()
def load(demo_threads: list[dict[str, Any]]) -> int:
    """Store the threads with ids from 1, and return how many. No events go out."""
    now = timezone.now()
    threads, comments = [], []
    for number, demo in enumerate(demo_threads, start=1):
        times = [now - timedelta(minutes=said["minutes_ago"]) for said in demo["comments"]]
        threads.append(Thread(id=number, title=demo["title"], created_at=min(times)))
        comments += [
            Comment(thread_id=number, author=said["author"], text=said["text"], created_at=time)
            for said, time in zip(demo["comments"], times, strict=True)
        ]
    Thread.objects.bulk_create(threads)
    Comment.objects.bulk_create(comments)
    # Ids given by hand leave PostgreSQL's counter where it was.
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [Thread, Comment]):
            cursor.execute(sql)
    return len(threads)
