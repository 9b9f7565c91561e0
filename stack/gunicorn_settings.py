"""How the example site is served; gunicorn reads this file's names (`--config`)."""

import ctypes
import signal

worker_class = "gthread"
workers = 2
threads = 8
keepalive = 5
# Longer than any request may take; a worker silent for so long is replaced.
timeout = 30
# A page that is still being answered when the site stops has this long.
graceful_timeout = 5
# A control socket in the home folder would be shared by all checkouts.
control_socket_disable = True

_PR_SET_PDEATHSIG = 1


def post_fork(arbiter: object, worker: object) -> None:
    """Let a worker die with its master, so that the master's successor finds the port free."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
