"""A Celery app of a site that has Beat drive the relay; `celery -A` starts it in a test."""

import os

from celery import Celery

app = Celery("celery_site", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    beat_schedule={
        "relay": {
            "task": "django_hooks.tasks.relay_outbox",
            "schedule": 0.5,
            "kwargs": {"seconds": 0.3},
        },
        "purge": {"task": "django_hooks.tasks.purge_outbox", "schedule": 0.5},
    },
    # A schedule in the test's own folder.
    beat_schedule_filename=os.environ["CELERY_BEAT_FILE"],
)
app.autodiscover_tasks(["django_hooks"])
