"""The lab: namespaces for a client, a server and, where it is wanted, a relay between them.

A lab is held by a process and vanishes with it, or, made by root, it has names (`labkit-client`, `labkit-server`; of a
lab NAME `labkit-NAME-client` and so on) and stays until it is taken down. What has a name is recorded before it
is made, below /run/labkit, so that whatever a killed run has left is found and removed.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from labkit.errors import LinkError, UsageError
from labkit.i18n import _, printable
from labkit.live import wiring
from labkit.live.namespace import Namespace
from labkit.live.system import end_inhabitants, inhabitants, require_capable, require_program
from labkit.live.wiring import CLIENT, RELAY, SERVER

RECORDS = Path("/run/labkit")
"""Where labs with names are recorded."""

NAMES = Path("/run/netns")
"""Where `ip netns` has its names."""

VARIABLE = "LABKIT_LAB"
"""The environment's variable that leads programs to a lab that has no name."""


class Lab:
    """A lab's namespaces, by end: `client`, `server`, perhaps `relay`. A context manager that lets go of them."""

    def __init__(self, spaces: Mapping[str, Namespace], title: str) -> None:
        self.spaces = dict(spaces)
        self.title = title
        """What it is called in messages."""

    @classmethod
    def held(cls, *, relay: bool = False, offload: bool = False, mtu: int = 1500) -> "Lab":
        """A new lab without names, which is there as long as this process. LinkError where it cannot be made."""
        require_capable(_("a lab"))
        spaces: dict[str, Namespace] = {}
        try:
            for end in (CLIENT, SERVER, RELAY) if relay else (CLIENT, SERVER):
                spaces[end] = Namespace.new()
            wiring.wire(spaces, offload=offload, mtu=mtu)
        except BaseException:
            for space in spaces.values():
                space.close()
            raise
        return cls(spaces, _("the lab of process {pid}").format(pid=os.getpid()))

    @contextmanager
    def inside(self, end: str) -> Iterator[None]:
        """The calling thread is at an end within the block. LinkError where the lab has no such end."""
        if end not in self.spaces:
            raise LinkError(
                _("{lab} has no {end}: it was made without ('labkit lab up --relay' makes one with)").format(
                    lab=self.title, end=end
                )
            )
        with self.spaces[end].inside():
            yield

    def environment(self) -> dict[str, str]:
        """What a program's environment must have, so that labkit finds this lab in it."""
        return {VARIABLE: json.dumps({end: space.path for end, space in self.spaces.items()})}

    @property
    def inodes(self) -> list[int]:
        """What the namespaces are told apart by."""
        return [space.inode for space in self.spaces.values()]

    def inhabitants(self) -> list[int]:
        """The processes that live in it, without this one."""
        return inhabitants(self.inodes)

    def close(self) -> None:
        """Let go of it: a lab without names is gone when all have."""
        for space in self.spaces.values():
            space.close()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _prefix(name: str | None) -> str:
    """How the names of a lab's namespaces begin. UsageError for what is no name."""
    if name is None:
        return "labkit"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise UsageError(
            _("'{name}' is no name for a lab; expected lower-case letters, digits and dashes").format(
                name=printable(name)
            )
        )
    return f"labkit-{name}"


def _title(name: str | None) -> str:
    return _("the lab") if name is None else _("the lab '{name}'").format(name=name)


def up(name: str | None = None, *, relay: bool = False, offload: bool = False, mtu: int = 1500) -> Lab:
    """Make a lab that stays until `down`. UsageError where one of its name is there, LinkError where it cannot be made."""
    require_capable("labkit lab up")
    prefix, program = _prefix(name), require_program("ip")
    record = RECORDS / f"{prefix}.json"
    ends = (CLIENT, SERVER, RELAY) if relay else (CLIENT, SERVER)
    names = {end: f"{prefix}-{end}" for end in ends}
    try:
        RECORDS.mkdir(mode=0o755, exist_ok=True)
        file = record.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(
            _("{lab} is up already; 'labkit lab down' removes it, '--name' gives another one its name").format(
                lab=_title(name)
            )
        ) from error
    except OSError as error:
        raise LinkError(_("{file}: {reason}").format(file=record, reason=error.strerror)) from error
    try:
        with file:
            json.dump(names, file)
        for each in names.values():
            done = subprocess.run(  # noqa: S603 - a program by its full path, without a shell
                [program, "netns", "add", each], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise LinkError(_("ip: {reason}").format(reason=printable(done.stderr.strip())))  # noqa: TRY301
        lab = Lab({end: Namespace.at(NAMES / each) for end, each in names.items()}, _title(name))
        wiring.wire(lab.spaces, offload=offload, mtu=mtu)
    except BaseException:
        down(name)
        raise
    return lab


def down(name: str | None = None) -> tuple[int, int]:
    """Remove a lab, or what a killed run has left of it: how many namespaces and how many processes there were.

    That there is none is no error. LinkError where something cannot be removed.
    """
    prefix = _prefix(name)
    record = RECORDS / f"{prefix}.json"
    found = [path for path in (NAMES / f"{prefix}-{end}" for end in (CLIENT, SERVER, RELAY)) if path.exists()]
    if not found and not record.exists():
        return 0, 0
    require_capable("labkit lab down")
    processes = 0
    for path in found:
        # A name that was made, but not yet bound to a namespace, is an empty file.
        with suppress(OSError), Namespace.at(path) as space:
            if path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev:
                processes += end_inhabitants([space.inode])
        _remove(path)
    record.unlink(missing_ok=True)
    return len(found), processes


def _remove(path: Path) -> None:
    """Take the name from a namespace."""
    done = subprocess.run(  # noqa: S603 - a program by its full path, without a shell
        [require_program("ip"), "netns", "delete", path.name], capture_output=True, text=True, check=False
    )
    if done.returncode and path.exists():
        with suppress(OSError):
            path.unlink()
        if path.exists():
            raise LinkError(_("ip: {reason}").format(reason=printable(done.stderr.strip())))


def recorded() -> list[str | None]:
    """The names of the labs that are up; None is the one without a name of its own."""
    if not RECORDS.is_dir():
        return []
    stems = sorted(path.stem for path in RECORDS.glob("labkit*.json"))
    return [None if stem == "labkit" else stem.removeprefix("labkit-") for stem in stems]


def find(name: str | None = None) -> Lab:
    """The lab of a name, or the one that this program was started in. LinkError where there is none, or only a part."""
    given = os.environ.get(VARIABLE)
    if given and name is None:
        title, text, source = _("the lab of {variable}").format(variable=VARIABLE), given, VARIABLE
    else:
        record = RECORDS / f"{_prefix(name)}.json"
        if not record.is_file():
            raise LinkError(
                _("{lab} is not up: 'labkit lab up' makes it; without root: labkit lab exec -- COMMAND").format(
                    lab=_title(name)
                )
            )
        title, text, source = _title(name), record.read_text("utf-8"), str(record)
    try:
        # Names are below NAMES; what a variable leads to are whole paths, which stay what they are.
        paths = {end: NAMES / each for end, each in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise _incomplete(title, _("{file} cannot be read").format(file=source)) from error
    require_capable(title)
    spaces: dict[str, Namespace] = {}
    try:
        for end, path in paths.items():
            spaces[end] = Namespace.at(path)
    except OSError as error:
        for space in spaces.values():
            space.close()
        raise _incomplete(title, f"{error.filename}: {error.strerror}") from error
    return Lab(spaces, title)


def _incomplete(title: str, reason: str) -> LinkError:
    text = _("{lab} is not whole: {reason}; 'labkit lab down' removes what is left of it")
    return LinkError(text.format(lab=title, reason=reason))


def shell() -> str:
    """The user's shell."""
    return os.environ.get("SHELL") or shutil.which("sh") or "/bin/sh"
