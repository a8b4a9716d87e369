"""A cache of machine code in the user's folder.

LLVM compiles the engine in some seconds, and loads the object code that labkit keeps in a few milliseconds. The name of a file
follows from the sources, the versions and the processor: other sources are compiled again, so that stale code cannot be loaded.

An entry is a function over integers and addresses, all of 64 bits. It allocates nothing and raises nothing: the caller owns the
memory. While an entry runs, the interpreter's lock is released.
"""

import ctypes
import os
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.analysis.config_trust import foreign
from labkit.analysis.native.packed import Entry, Library
from labkit.analysis.native.records import PREFIX
from labkit.compiled import digest
from labkit.errors import UncompilableError
from labkit.i18n import _, printable, reason_of

File = str | os.PathLike[str]

if TYPE_CHECKING:
    from labkit.analysis.native.assembly import Assembly

MAGIC = b"labkit object code, format 4\n"
LEAST, LEAST_LLVM = "0.45", (20,)
"""The oldest llvmlite that takes the text of `assembly`, as pyproject.toml asks for it, and its LLVM. Older ones want to know
what an address points to."""
ROOM = 1 << 18
"""Octets that the machine code takes, at most."""
KEPT = 8
"""Files in the folder. The oldest ones are removed."""
FOLDER = "LABKIT_CACHE"
"""The environment variable that names the folder."""
SUFFIX = ".object"

COPYING = {"memcpy": ctypes.memmove, "memmove": ctypes.memmove, "memset": ctypes.memset}
"""The functions that LLVM calls for copying and filling."""


class CompiledLibrary(Library):
    """Loaded object code."""

    def __init__(self, code: bytes) -> None:
        """Load the result of `build`. ImportError without llvmlite, ValueError for anything else."""
        names, octets = _unpacked(code)
        import llvmlite.binding as llvm

        for name, function in COPYING.items():
            if llvm.address_of_symbol(name) is None:
                llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value or 0)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(octets))
        self._engine.finalize_object()
        self.entries = {name: self._entry(name, count) for name, count in names.items()}

    def _entry(self, name: str, arguments: int) -> Entry:
        address = self._engine.get_function_address(PREFIX + name)
        if not address:
            raise ValueError(f"the object code has no {name}")
        entry = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * arguments)(address)
        entry.engine = self._engine  # type: ignore[attr-defined]  # the code goes when the engine does
        return entry


def load(
    name: str, files: Iterable[File], source: "Callable[[], Assembly]", on_compile: Callable[[str], None]
) -> Library:
    """The library of some entries: from the user's folder, or compiled and put there.

    Its code follows from `files`; `name` distinguishes libraries of the same files. To compile it, which takes some seconds,
    `source` gives the module, after a call of `on_compile` with the reason why the code cannot be kept, or an empty text.
    ImportError without llvmlite, UncompilableError with one that is too old.
    """
    path = place(name, files)
    with suppress(ValueError, OSError):
        return CompiledLibrary(_read(path))
    _check_version()
    obstacle = _obstacle(path)
    on_compile(obstacle)
    code = build(source())
    if not obstacle:
        with suppress(OSError):
            _write(path, code)
    return CompiledLibrary(code)


def is_built(name: str, files: Iterable[File]) -> bool:
    """Whether the whole library is in the user's folder."""
    with suppress(ValueError, OSError):
        _unpacked(_read(place(name, files)))
        return True
    return False


def build(source: "Assembly") -> bytes:
    """Compile a module for `Library`. ImportError without llvmlite."""
    import llvmlite.binding as llvm

    machine = _machine()
    whole = llvm.parse_assembly(source.text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(whole, builder)
    octets: bytes = machine.emit_object(whole)
    rest = dumps(source.entries).encode() + b"\n" + octets
    return MAGIC + sha256(rest).digest() + rest


def place(name: str, files: Iterable[File]) -> Path:
    """The file of the library. Its name follows from everything that the code follows from."""
    key = repr((name, digest(files), sys.byteorder, _version(), _processor()))
    return folder() / f"{name}-{sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"


def folder() -> Path:
    """The user's cache folder. A user without a home directory has none: the path then lies below /dev/null."""
    if given := os.environ.get(FOLDER):
        return Path(given)
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache, "labkit")
    with suppress(RuntimeError):
        home = Path.home()
        if home.is_dir():
            return home / ".cache" / "labkit"
    return Path(os.devnull, "labkit")


def _version() -> list[str]:
    """The version of the compiler. `importlib.metadata` would give it too, but its import takes longer."""
    from importlib.util import find_spec

    spec = find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    # A distribution's folder is named for its version.
    folders = sorted(each.name for each in package.parent.glob("llvmlite-*-info"))
    return folders or [f"{package} {package.stat().st_mtime_ns}"]


def _check_version() -> None:
    import llvmlite
    import llvmlite.binding as llvm

    if llvm.llvm_version_info < LEAST_LLVM:
        text = _("llvmlite {version} is too old; expected {least} or later")
        raise UncompilableError(text.format(version=llvmlite.__version__, least=LEAST))


def _processor() -> tuple[str, str]:
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _machine() -> Any:
    """LLVM's description of this processor."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    processor, features = _processor()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=processor, features=features, opt=3, codemodel="jitdefault", jit=True
    )


def _unpacked(code: bytes) -> tuple[dict[str, int], bytes]:
    """The entries, each with the number of its arguments, and the object code of a file; ValueError for a damaged file."""
    start = len(MAGIC) + 32
    rest = code[start:]
    if code[: len(MAGIC)] != MAGIC or sha256(rest).digest() != code[len(MAGIC) : start]:
        raise ValueError(_("not object code of labkit, or incomplete"))
    head, _line, octets = rest.partition(b"\n")
    return dict(loads(head)), octets


def _read(path: Path) -> bytes:
    """Read a file that no other user can have written, because its code will run. OSError for any other file."""
    if reason := _others(path):
        raise PermissionError(reason)
    if not path.is_file():
        raise FileNotFoundError(_("{name}: not a file").format(name=path))  # a pipe could block its reader
    return path.read_bytes()


def _others(path: Path) -> str:
    """Why another user can have written a file; empty if nobody can."""
    if reason := foreign(path):
        return reason
    for place in (path.parent, path):
        status = place.stat()
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return _("other users can write {place}").format(place=printable(str(place)))
    return ""


def _obstacle(path: Path) -> str:
    """Why a file cannot be kept, so that the next process can load it; empty if it can."""
    from tempfile import NamedTemporaryFile

    try:
        if path.is_dir():
            return _("{path} is a folder").format(path=printable(str(path)))
        if path.parent.exists() and not path.parent.is_dir():
            return _("it is not a folder")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, suffix=SUFFIX) as file:
            file.write(bytes(ROOM))
            file.flush()
            return _others(Path(file.name))
    except (OSError, ValueError) as error:
        return reason_of(error)


def _write(path: Path, code: bytes) -> None:
    from tempfile import NamedTemporaryFile  # its import takes a while, and most processes write nothing

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file that an interrupted process leaves behind is removed like other old files.
    with NamedTemporaryFile(dir=path.parent, suffix=SUFFIX, delete=False) as file:
        try:
            file.write(code)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    old = sorted(path.parent.glob(f"*{SUFFIX}"), key=lambda each: each.stat().st_mtime)
    for each in old[:-KEPT]:
        each.unlink(missing_ok=True)
