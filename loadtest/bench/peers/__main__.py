"""`python -m loadtest.bench.peers celery_jobs FIRST JOBS` puts jobs on a peer's queue.

Not the peer's module itself: run as a program it would be `__main__`, where no worker finds jobs.
"""

import sys
from importlib import import_module

name, first, jobs = sys.argv[1:]
import_module(f"{__package__}.{name}").put_jobs(int(first), int(jobs))
