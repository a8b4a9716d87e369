"""The program `labkit`, also as `python -m labkit`."""

import gc
import os
import sys
from importlib import reload
from threading import RLock
from types import ModuleType
from typing import Any, NoReturn

MANY_OBJECTS = 100_000
"""Objects between two searches for garbage: what is imported stays, and Python's 700 would look through it again and again."""


SELDOM_USED = ("inspect", "uuid")
"""Modules that click imports and needs for help pages, errors and one type of option only, and `dataclasses` of Python 3.11 for
errors: to import them takes as long as to verify a small capture."""


class Later(ModuleType):
    """A module that is loaded when something of it is used. `importlib.util.LazyLoader` loads one when it is imported again."""

    lock = RLock()

    def __getattr__(self, name: str) -> Any:
        with Later.lock:
            if type(self) is Later:
                reload(self)
                self.__class__ = ModuleType  # type: ignore[assignment]  # it is one as any other from now on
        return getattr(self, name)


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    gc.set_threshold(MANY_OBJECTS)
    for name in SELDOM_USED:
        sys.modules.setdefault(name, Later(name))
    import_click()
    from labkit import cli

    cli.main()


def import_click() -> None:
    """Import click. It names `uuid.UUID` where it declares a class, for readers only: until that is over, any class will do."""
    uuid = sys.modules["uuid"]
    if isinstance(uuid, Later):
        vars(uuid)["UUID"] = object
    import click  # noqa: F401

    if isinstance(uuid, Later):
        del vars(uuid)["UUID"]


if __name__ == "__main__":
    # Python looks for modules in the current folder first, where hand-ins may lie. labkit itself was found already.
    if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 - pathlib is not loaded yet
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
        if sys.path[0] != home:
            del sys.path[0]
    main()
