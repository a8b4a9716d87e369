"""The lab: network namespaces for a client, a server and, on request, a relay between them.

A temporary lab belongs to a process and vanishes with it. A named lab, made by root, stays until `down`; its namespaces are
called `labkit-client`, `labkit-server`, or `labkit-NAME-client` for a lab with a name. `up` writes a record below /run/labkit
before it makes anything, so that `down` can remove what a killed run has left.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from labkit.errors import LinkError, UsageError
from labkit.i18n import _, printable
from labkit.live import wiring
from labkit.live.namespace import Namespace
from labkit.live.system import end_processes_in, processes_in, require_capable, require_program
from labkit.live.wiring import CLIENT, RELAY, SERVER

RECORDS = Path("/run/labkit")
"""The folder with the records of named labs."""

NAMES = Path("/run/netns")
"""The folder in which `ip netns` keeps named namespaces."""

VARIABLE = "LABKIT_LAB"
"""The environment variable by which a program finds a lab without a name."""


class Lab(AbstractContextManager["Lab"]):
    """A lab's namespaces by end: `client`, `server`, and `relay` if it has one. A context manager that closes them."""

    def __init__(self, namespaces: Mapping[str, Namespace], title: str) -> None:
        self.namespaces = dict(namespaces)
        self.title = title
        """The lab's name in messages."""

    @classmethod
    def temporary(cls, *, relay: bool = False, offload: bool = False, mtu: int = 1500) -> "Lab":
        """Make a lab that lasts as long as this process. LinkError if that fails."""
        require_capable(_("a lab"))
        namespaces: dict[str, Namespace] = {}
        try:
            for end in _ends(relay):
                namespaces[end] = Namespace.new()
            wiring.wire(namespaces, offload=offload, mtu=mtu)
        except BaseException:
            _close(namespaces.values())
            raise
        return cls(namespaces, _("the lab of process {pid}").format(pid=os.getpid()))

    @contextmanager
    def inside(self, end: str) -> Iterator[None]:
        """Run the block with the calling thread in an end's namespace. LinkError if the lab has no such end."""
        if end not in self.namespaces:
            raise LinkError(
                _("{lab} has no {end}; 'labkit lab up --relay' makes a lab with one").format(lab=self.title, end=end)
            )
        with self.namespaces[end].inside():
            yield

    def environment(self) -> dict[str, str]:
        """The environment variable by which a labkit that this process starts finds this lab."""
        return {VARIABLE: json.dumps({end: space.path for end, space in self.namespaces.items()})}

    @property
    def inodes(self) -> list[int]:
        """The inode numbers of the namespaces, which identify them."""
        return [space.inode for space in self.namespaces.values()]

    def processes(self) -> list[int]:
        """The ids of the processes in the lab, without this one."""
        return processes_in(self.inodes)

    def close(self) -> None:
        """Close the namespaces. A temporary lab is gone when every process has closed them."""
        _close(self.namespaces.values())

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _ends(relay: bool) -> tuple[str, ...]:
    return (CLIENT, SERVER, RELAY) if relay else (CLIENT, SERVER)


def _close(namespaces: Iterable[Namespace]) -> None:
    for space in namespaces:
        space.close()


def _prefix(name: str | None) -> str:
    """The prefix of a lab's namespace names. UsageError if the name is malformed."""
    if name is None:
        return "labkit"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        text = _("'{name}' is not a lab name; use up to 31 lower-case letters, digits and dashes")
        raise UsageError(text.format(name=printable(name)))
    return f"labkit-{name}"


def _title(name: str | None) -> str:
    return _("the lab") if name is None else _("the lab '{name}'").format(name=name)


def up(name: str | None = None, *, relay: bool = False, offload: bool = False, mtu: int = 1500) -> Lab:
    """Make a lab that stays until `down`. UsageError if the name is taken, LinkError if the lab cannot be made."""
    require_capable("labkit lab up")
    require_program("ip")
    prefix = _prefix(name)
    record = RECORDS / f"{prefix}.json"
    names = {end: f"{prefix}-{end}" for end in _ends(relay)}
    try:
        RECORDS.mkdir(mode=0o755, exist_ok=True)
        file = record.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(
            _("{lab} is already up; 'labkit lab down' removes it, '--name' makes another one").format(lab=_title(name))
        ) from error
    except OSError as error:
        raise LinkError(_("{file}: {reason}").format(file=record, reason=error.strerror)) from error
    try:
        with file:
            json.dump(names, file)
        for each in names.values():
            wiring.run_ip("netns", "add", each)
        lab = Lab({end: Namespace.at(NAMES / each) for end, each in names.items()}, _title(name))
        wiring.wire(lab.namespaces, offload=offload, mtu=mtu)
    except BaseException:
        down(name)
        raise
    return lab


def down(name: str | None = None) -> tuple[int, int]:
    """Remove a lab, or the rest of a killed run; return the number of its namespaces and of the processes in them.

    A lab that does not exist is not an error. LinkError if something cannot be removed.
    """
    prefix = _prefix(name)
    record = RECORDS / f"{prefix}.json"
    found = [path for path in (NAMES / f"{prefix}-{end}" for end in _ends(True)) if path.exists()]
    if not found and not record.exists():
        return 0, 0
    require_capable("labkit lab down")
    processes = 0
    for path in found:
        # A killed `ip netns add` leaves an empty file that is not bound to a namespace.
        with suppress(OSError), Namespace.at(path) as space:
            if path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev:
                processes += end_processes_in([space.inode])
        _remove(path)
    record.unlink(missing_ok=True)
    return len(found), processes


def _remove(path: Path) -> None:
    """Remove a namespace's name."""
    try:
        wiring.run_ip("netns", "delete", path.name)
    except LinkError:
        with suppress(OSError):
            path.unlink()
        if path.exists():
            raise


def recorded() -> list[str | None]:
    """The names of the labs that are up; None is the lab without a name."""
    if not RECORDS.is_dir():
        return []
    stems = sorted(path.stem for path in RECORDS.glob("labkit*.json"))
    return [None if stem == "labkit" else stem.removeprefix("labkit-") for stem in stems]


def find(name: str | None = None) -> Lab:
    """Open a named lab, or the lab in which this program was started. LinkError if it is missing or incomplete."""
    given = os.environ.get(VARIABLE)
    if given and name is None:
        title, text, source = _("the lab of {variable}").format(variable=VARIABLE), given, VARIABLE
    else:
        record = RECORDS / f"{_prefix(name)}.json"
        if not record.is_file():
            text = _("{lab} is not up; 'labkit lab up' makes it; without root: labkit lab exec -- COMMAND")
            raise LinkError(text.format(lab=_title(name)))
        title, text, source = _title(name), record.read_text("utf-8"), str(record)
    try:
        # A record holds names below NAMES. The variable holds absolute paths, which `/` leaves unchanged.
        paths = {end: NAMES / each for end, each in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise _incomplete(title, _("{file} cannot be read").format(file=source)) from error
    require_capable(title)
    namespaces: dict[str, Namespace] = {}
    try:
        for end, path in paths.items():
            namespaces[end] = Namespace.at(path)
    except OSError as error:
        _close(namespaces.values())
        raise _incomplete(title, f"{error.filename}: {error.strerror}") from error
    return Lab(namespaces, title)


def _incomplete(title: str, reason: str) -> LinkError:
    text = _("{lab} is incomplete: {reason}; 'labkit lab down' removes the rest of it")
    return LinkError(text.format(lab=title, reason=reason))


def shell() -> str:
    """The user's shell."""
    return os.environ.get("SHELL") or shutil.which("sh") or "/bin/sh"
