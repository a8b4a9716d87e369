"""The lab: network namespaces for a client, a server and, on request, a relay between them.

A temporary lab belongs to a process and vanishes with it. A named lab, made by root, stays until `down`; its namespaces are
called `labkit-client`, `labkit-server`, or `labkit-NAME-client` for a lab with a name. `up` writes a record below /run/labkit
before it makes anything, so that `down` can remove what a killed run has left.

The record says what is labkit's own: each name, with the inode of its namespace once that is known, and the boot in which it
was made. Nothing else is ever removed, and no process in it is ended.
"""

import errno
import json
import os
import re
import shutil
import signal
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit.errors import LinkError, UsageError
from labkit.i18n import _, listed, printable, reason_of, unreadable
from labkit.live import wiring
from labkit.live.namespace import Namespace
from labkit.live.system import end_processes_in, processes_in, require_capable, require_program
from labkit.live.wiring import CLIENT, RELAY, SERVER

RECORDS = Path("/run/labkit")
"""The folder with the records of named labs."""

NAMES = Path("/run/netns")
"""The folder in which `ip netns` keeps named namespaces."""

MAX_RECORD_OCTETS = 1 << 16
"""Octets of a record."""

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
        with self.namespace(end).inside():
            yield

    def namespace(self, end: str) -> Namespace:
        """The namespace of an end. LinkError if the lab has no such end."""
        if end not in self.namespaces:
            text = _("{lab} has no {end}; 'labkit lab up --relay' makes a lab with one")
            raise LinkError(text.format(lab=self.title, end=end))
        return self.namespaces[end]

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
        raise LinkError(_("{file}: {reason}").format(file=record, reason=reason_of(error))) from error
    made = _Record(_boot(), names, {})
    try:
        file.close()
        for end, each in names.items():
            _check_free(NAMES / each)
            made.pending = end
            made.write(record)
            with _undisturbed():
                wiring.run_ip("netns", "add", each)
            made.inodes[end] = (NAMES / each).stat().st_ino
        made.pending = ""
        made.write(record)
        lab = Lab({end: Namespace.at(NAMES / each) for end, each in names.items()}, _title(name))
        wiring.wire(lab.namespaces, offload=offload, mtu=mtu)
    except BaseException:
        with suppress(LinkError):  # of what is not labkit's own
            down(name)
        raise
    return lab


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait: Python would leave a program that it has started alone, and that may make a namespace after `down` looked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_free(path: Path) -> None:
    if path.exists():
        text = _("{name}: labkit did not make this network namespace, and leaves it; '--name' makes another lab")
        raise UsageError(text.format(name=path.name))


@dataclass(slots=True)
class _Record:
    """What labkit made for a lab."""

    boot: str
    """The boot in which it was made: after another one nothing of it exists, and inode numbers are given anew."""
    names: dict[str, str]
    """The names of the namespaces by end."""
    inodes: dict[str, int]
    """The inode numbers of those that were made, by end."""
    pending: str = ""
    """The end whose namespace was being made when the record was written."""

    @classmethod
    def read(cls, file: Path) -> "_Record | None":
        """The record in a file; None if there is none. LinkError if another user could have written it."""
        try:
            with file.open("rb") as opened:
                status = os.fstat(opened.fileno())
                if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    raise LinkError(
                        _("{file}: other users can write it, so labkit does not believe it").format(file=file)
                    )
                found = json.loads(opened.read(MAX_RECORD_OCTETS) or b"{}")
            return cls(
                str(found.get("boot", "")),
                {str(end): str(each) for end, each in found.get("names", {}).items()},
                {str(end): int(each) for end, each in found.get("inodes", {}).items()},
                str(found.get("pending", "")),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise LinkError(unreadable(file, error)) from error

    def write(self, file: Path) -> None:
        """Write the record, whole or not at all."""
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), "utf-8")
        part.replace(file)

    def owns(self, end: str, path: Path) -> bool:
        """Whether labkit made the namespace that has this name now, or was making it when it was killed."""
        if self.boot != _boot() or self.names.get(end) != path.name:
            return False
        status = path.stat()
        if not _is_namespace(status):
            return status.st_size == 0  # a killed `ip netns add` leaves an empty file that is not bound to a namespace
        if end in self.inodes:
            return self.inodes[end] == status.st_ino
        return self.pending == end and not _used(path)


def _boot() -> str:
    """The identity of this boot of the system."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _is_namespace(status: os.stat_result) -> bool:
    return status.st_dev == Path("/proc/self/ns/net").stat().st_dev


def _used(path: Path) -> bool:
    """Whether a process runs in a namespace, or it has more than a loopback interface: a new one has neither."""
    with Namespace.at(path) as space:
        if processes_in([space.inode]):
            return True
        with space.inside():
            return len(socket.if_nameindex()) > 1


def down(name: str | None = None) -> tuple[int, int]:
    """Remove a lab, or the rest of a killed run; return the number of its namespaces and of the processes in them.

    A lab that does not exist is not an error. LinkError if something cannot be removed, or labkit did not make it.
    """
    prefix = _prefix(name)
    file = RECORDS / f"{prefix}.json"
    found = {end: path for end in _ends(True) if (path := NAMES / f"{prefix}-{end}").exists()}
    if not found and not file.exists():
        return 0, 0
    require_capable("labkit lab down")
    record = _Record.read(file)
    own = [path for end, path in found.items() if record is not None and record.owns(end, path)]
    processes = 0
    for path in own:
        with suppress(OSError), Namespace.at(path) as space:
            if _is_namespace(path.stat()):
                processes += end_processes_in([space.inode])
        _remove(path)
    file.unlink(missing_ok=True)
    file.with_suffix(".part").unlink(missing_ok=True)
    strangers = [path.name for path in found.values() if path not in own]
    if strangers:
        text = _("{names}: labkit did not make this, and leaves it; 'ip netns delete' removes a namespace")
        raise LinkError(text.format(names=listed(strangers)))
    return len(own), processes


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
        title, text, source = _title(name), "", str(record)
    inodes: dict[str, int] = {}
    try:
        if text:  # absolute paths, which this program's parent holds open
            paths = {str(end): Path(each) for end, each in json.loads(text).items()}
        else:
            found = _Record.read(Path(source)) or _Record("", {}, {})
            paths, inodes = {end: NAMES / each for end, each in found.names.items()}, found.inodes
    except (LinkError, ValueError, AttributeError, TypeError) as error:
        raise _incomplete(title, _("{file} cannot be read").format(file=source)) from error
    if not paths:
        raise _incomplete(title, _("{file} cannot be read").format(file=source))
    require_capable(title)
    namespaces: dict[str, Namespace] = {}
    try:
        for end, path in paths.items():
            namespaces[end] = Namespace.at(path)
            if inodes and namespaces[end].inode != inodes.get(end):
                raise OSError(errno.ESTALE, _("labkit did not make this namespace"), str(path))  # noqa: TRY301
    except OSError as error:
        _close(namespaces.values())
        raise _incomplete(title, f"{error.filename}: {reason_of(error)}") from error
    return Lab(namespaces, title)


def _incomplete(title: str, reason: str) -> LinkError:
    text = _("{lab} is incomplete: {reason}; 'labkit lab down' removes the rest of it")
    return LinkError(text.format(lab=title, reason=reason))


def shell() -> str:
    """The user's shell."""
    return os.environ.get("SHELL") or shutil.which("sh") or "/bin/sh"
