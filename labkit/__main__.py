"""The program `labkit`, also as `python -m labkit`."""

import gc
import os
import sys
from typing import NoReturn

MANY_OBJECTS = 100_000
"""Objects between two searches for garbage: what is imported stays, and Python's 700 would look through it again and again."""


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    gc.set_threshold(MANY_OBJECTS)
    from labkit import cli

    cli.main()


if __name__ == "__main__":
    # Python looks for modules in the current folder first, where hand-ins may lie. labkit itself was found already.
    if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 - pathlib is not loaded yet
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
        if sys.path[0] != home:
            del sys.path[0]
    main()
