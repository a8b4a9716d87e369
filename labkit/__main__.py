"""`python -m labkit` is the command `labkit`."""

import os
import sys

# Python looks for modules in the current folder first, where hand-ins may lie. labkit itself was found already.
if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 - pathlib is not loaded yet
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if sys.path[0] != home:
        del sys.path[0]

from labkit.cli import main

main()
