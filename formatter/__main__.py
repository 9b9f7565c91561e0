"""`python -m formatter --pipelines mysite.pipelines`: works the job queue until it is stopped."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402  (everything below must see the patched modules)

from formatter.command_line import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
