"""The app's name; its label is what objects are called by (`threads.comment:17`)."""

from django.apps import AppConfig


class ThreadsConfig(AppConfig):
    """Threads and comments."""

    name = "example_site.threads"
    label = "threads"
