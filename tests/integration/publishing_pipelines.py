"""A site's module with publishers; where its consumer is, says the environment."""

import os

from formatter import Pipeline
from formatter.publishers import Webhook

pipelines = {"comment.": Pipeline}

publishers = [
    Webhook("hook", os.environ["HOOK_URL"], secret_variable="HOOK_SECRET", channels=["thread:*"]),
]
