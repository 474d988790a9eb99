"""Checks the Python before anything is imported that an old one could not read."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    found = ".".join(str(part) for part in sys.version_info[:2])
    sys.stderr.write(
        f"perennial: Python 3.11 or newer is needed, this is {found}: make run PYTHON=python3.11\n"
    )
    sys.exit(2)

from infra.local.command import main

sys.exit(main())
