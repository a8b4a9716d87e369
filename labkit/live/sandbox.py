"""Run an untrusted program in the network namespace of the calling thread.

The program has a process namespace of its own, whose end ends all its children; no privilege but raw sockets; limits on memory,
files and processes; and, where labkit runs as root, another user. The programs of util-linux set this up. Nobody reads more of
what it prints than `MAX_OUTPUT` octets.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from shutil import Error as ShutilError
from shutil import copy, copytree
from tempfile import TemporaryDirectory
from threading import Thread

from labkit.errors import LinkError, UsageError
from labkit.i18n import _, printable, reason_of
from labkit.live.system import require_program

MAX_OUTPUT = 16_384
"""Octets that are kept of what a program prints."""

MAX_COPIED = 64 << 20
"""Octets of the files that a program gets."""

LIMITS = ("--core=0", "--nofile=256", "--nproc=512", "--as=2147483648", "--fsize=16777216")
"""Limits of each process, as options of prlimit(1)."""

CAPABILITIES = "-all,+net_raw"

SHELL = '"$@"; exit $?'
"""The first process of the namespace, which ends with labkit's child `unshare`. The program is not it, because Linux drops many
signals to a first process, and forgets with a change of user that it should end with its parent."""

NOT_STARTED = (126, 127)
"""Exit codes by which a shell says that it could not start a program."""


class Sandbox(AbstractContextManager["Sandbox"]):
    """A running program; a context manager that ends it and all its children. LinkError if the system refuses.

    It begins in a folder of its own, with copies of `files`: its user may not reach them where they are. `user`: the user that
    it runs as, if labkit is root; UsageError if there is none of this name. `seconds` bounds its processor time; its owner
    bounds the rest with `end`.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], files: Iterable[Path], user: str, seconds: float
    ) -> None:
        self._output = bytearray()
        self._home = TemporaryDirectory(prefix="labkit-program-")
        self._ended = False
        try:
            self._start(command, environment, files, user, seconds)
        except BaseException:
            self._home.cleanup()
            raise
        self._reader = Thread(target=self._read, name="labkit reads a program's output", daemon=True)
        self._reader.start()

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], files: Iterable[Path], user: str, seconds: float
    ) -> None:
        home = Path(self._home.name)
        work = home / "work"
        work.mkdir()
        _copy(files, work)
        rights = ["--no-new-privs", f"--bounding-set={CAPABILITIES}", f"--inh-caps={CAPABILITIES}"]
        rights.append(f"--ambient-caps={CAPABILITIES}")
        if os.geteuid() == 0 and may_change_user():
            account = find_user(user)
            for each in (home, *home.rglob("*")):
                os.chown(each, account.pw_uid, account.pw_gid, follow_symlinks=False)
            rights += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        limits = [*LIMITS, f"--cpu={int(seconds) + 2}"]
        words = [require_program("unshare"), "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", SHELL, "sh"]
        words += [require_program("setpriv"), *rights, "--", require_program("prlimit"), *limits, "--", *command]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - what the user asked for, without its rights
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(home), **environment},
                cwd=work,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = _(error.strerror or "") if isinstance(error, OSError) else error
            text = _("cannot start '{program}': {reason}")
            raise LinkError(text.format(program=printable(command[0]), reason=reason)) from error

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - a pipe was asked for
        while piece := os.read(stream.fileno(), 1 << 16):
            self._output += piece[: MAX_OUTPUT - len(self._output)]

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or 128 plus the number of the signal that ended it; None while it runs, or if labkit ended it."""
        code = self._process.poll()
        return None if self._ended else code

    @property
    def output(self) -> str:
        """What it has printed to standard output and error, up to `MAX_OUTPUT` octets."""
        return self._output.decode("utf-8", "replace")

    def end(self) -> None:
        """End it and all its children now. Later calls do nothing."""
        if self._process.poll() is None:
            self._ended = True
            # The end of `unshare` ends the first process of the namespace, and that one all others.
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def __exit__(self, *_exception: object) -> None:
        self.end()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._home.cleanup()


def _copy(files: Iterable[Path], to: Path) -> None:
    """Copy files and folders into a folder; links stay links. UsageError for too many octets, LinkError if it fails."""
    files = list(files)
    octets = 0
    try:
        for each in files:
            for one in (each, *each.rglob("*")):
                octets += one.lstat().st_size
                if octets > MAX_COPIED:
                    text = _("{name}: more than {n} MiB; name a folder that has nothing but the program")
                    raise UsageError(text.format(name=printable(str(each)), n=MAX_COPIED >> 20))
        for each in files:
            if each.is_dir():
                copytree(each, to / each.name, symlinks=True)
            else:
                copy(each, to / each.name)
    except (OSError, ShutilError) as error:
        if isinstance(error.args[0], list):
            reason = str(error.args[0][0][-1])  # for each file: where from, where to, why
        else:
            reason = _(": ").join(filter(None, (error.filename, reason_of(error))))
        text = _("cannot copy the program's files: {reason}")
        raise LinkError(text.format(reason=printable(reason))) from error


def may_change_user() -> bool:
    """Whether other users exist in this user namespace: `labkit lab exec` without root has only one."""
    with suppress(OSError, ValueError):
        return sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text("ascii").splitlines()) > 1
    return False


def find_user(name: str) -> pwd.struct_passwd:
    """A user by name. UsageError if there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise UsageError(_("there is no user '{name}' on this system").format(name=printable(name))) from error
