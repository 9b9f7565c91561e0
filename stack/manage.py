"""A management command of the example site, on the database and the Redis of `make run`.

python -m stack.manage createsuperuser
"""

import os
import sys
from pathlib import Path

from stack.errors import StackError
from stack.parts import common_environment
from stack.platform import REPOSITORY
from stack.settings import RunSettings


def main(words: list[str]) -> int:
    """Become the command; return 1 when there is no run to use it on."""
    try:
        settings = RunSettings.from_environment(os.environ)
        redis_url = f"redis://127.0.0.1:{redis_port(settings.state_dir)}/0"
    except StackError as error:
        print(f"make manage: {error}", file=sys.stderr)
        return 1
    os.chdir(REPOSITORY)
    environment = {**os.environ, **common_environment(settings, redis_url)}
    os.execve(sys.executable, [sys.executable, "-m", "django", *words], environment)


def redis_port(state_dir: Path) -> int:
    """Return the port of the Redis that runs, or last ran, with this state folder.

    Raises:
        StackError: none ever did.
    """
    try:
        return int((state_dir / "redis.port").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise StackError(
            f"nothing was ever started in {state_dir}; `make run` first, with the same STATE_DIR"
        ) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
