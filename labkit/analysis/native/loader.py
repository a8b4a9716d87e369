"""A cache of machine code in the user's folder.

To import Numba takes about a second, longer than to verify a million packets. So labkit keeps compiled object code, and loads it
with llvmlite alone, in a few milliseconds. The name of a file follows from the sources, the versions and the processor: other
sources are compiled again, so that stale code cannot be loaded.

An entry is a function over integers and addresses, all of 64 bits. It allocates nothing and raises nothing: the caller owns the
memory. While an entry runs, the interpreter's lock is released.
"""

import ctypes
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from json import dumps, loads
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from labkit.analysis.config_trust import foreign
from labkit.errors import UncompilableError
from labkit.i18n import _

MAGIC = b"labkit object code, format 3\n"
KEPT = 8
"""Files in the folder. The oldest ones are removed."""
FOLDER = "LABKIT_CACHE"
"""The environment variable that names the folder."""
SUFFIX = ".object"

COPYING = {"memcpy": ctypes.memmove, "memmove": ctypes.memmove, "memset": ctypes.memset}
"""The functions that LLVM calls for copying and filling. The other names in the code are Numba's, for exceptions and references:
never called, because there are none. But LLVM resolves no name at all unless each one has an address."""

Entry = Callable[..., int]
"""Takes integers and addresses; returns an integer."""


class EntrySource(NamedTuple):
    """An entry before it is compiled."""

    function: Callable[..., int]
    """The function that Numba compiles."""
    signature: Any
    """In types of Numba and of `labkit.analysis.native.memory`: `types.int64(numbers("u1"), types.int64, ...)`."""


class Library:
    """Loaded machine code: its `entries` by name."""

    def __init__(self, code: bytes) -> None:
        """Load the result of `build`. ImportError without llvmlite, ValueError for anything else."""
        names, unknown, octets = _unpacked(code)
        import llvmlite.binding as llvm

        for name in unknown:
            if llvm.address_of_symbol(name) is None:
                llvm.add_symbol(name, _address(COPYING.get(name, ctypes.pythonapi.Py_FatalError)))
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(octets))
        self._engine.finalize_object()
        self.entries: dict[str, Entry] = {name: self._entry(*said) for name, said in names.items()}

    def _entry(self, symbol: str, arguments: int) -> Entry:
        address = self._engine.get_function_address(symbol)
        if not address:
            raise ValueError(f"the object code has no {symbol}")
        entry = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * arguments)(address)
        entry.engine = self._engine  # type: ignore[attr-defined]  # the code goes when the engine does
        return entry


def load(
    name: str, files: Iterable[Path], sources: Callable[[], Mapping[str, EntrySource]], on_compile: Callable[[], None]
) -> Library:
    """The library of some entries: from the user's folder, or compiled and put there.

    Its code follows from `files`; `name` distinguishes libraries of the same files. To compile it, which may take a minute,
    `sources` gives the entries, after a call of `on_compile`. ImportError without llvmlite, or without Numba to compile.
    """
    path = place(name, files)
    with suppress(ValueError, OSError):
        return Library(_read(path))
    on_compile()
    code = build(sources())
    with suppress(OSError):
        _write(path, code)
    return Library(code)


def is_built(name: str, files: Iterable[Path]) -> bool:
    """Whether the whole library is in the user's folder."""
    with suppress(ValueError, OSError):
        _unpacked(_read(place(name, files)))
        return True
    return False


def build(sources: Mapping[str, EntrySource]) -> bytes:
    """Compile entries for `Library`. ImportError without Numba, UncompilableError for a function that Numba refuses."""
    import llvmlite.binding as llvm
    from numba import cfunc
    from numba.core.errors import NumbaError

    whole, names = llvm.parse_assembly(""), {}
    with _unoptimised():
        for name, (function, signature) in sources.items():
            try:
                made = cfunc(signature, error_model="numpy")(function)
            except NumbaError as error:
                raise UncompilableError(_refusal(str(error))) from error
            names[name] = made.native_name, len(signature.args)
            whole.link_in(llvm.parse_assembly(made.inspect_llvm()))
    machine = _machine()
    _optimise(whole, machine, {symbol for symbol, _ in names.values()})
    octets: bytes = machine.emit_object(whole)
    rest = dumps([names, _unknown(whole)]).encode() + b"\n" + octets
    return MAGIC + sha256(rest).digest() + rest


def _refusal(message: str) -> str:
    """The reason in Numba's message, and the function that it is about: the first one that the message names."""
    reason = next((line for line in message.splitlines() if not line.startswith("Failed in")), "")
    function = re.search(r"<function (?:\S+\.)?(\w+) at", message)
    text = _("{function} cannot be compiled: {reason}")
    return text.format(function=function[1] if function else "labkit", reason=reason)


@contextmanager
def _unoptimised() -> Iterator[None]:
    """Within this context, Numba does not optimise: it would optimise each function again for each of its callers."""
    from numba.core import config
    from numba.core.registry import cpu_target

    cpu_target.target_context.codegen()  # this object is created once; create it with the usual settings
    before = config.OPT
    config.OPT = type(before)(0)
    try:
        yield
    finally:
        config.OPT = before


def _optimise(whole: Any, machine: Any, entries: set[str]) -> None:
    """Optimise a module as a whole. Only the entries are called from outside."""
    import llvmlite.binding as llvm

    for each in whole.functions:
        if not each.is_declaration and each.name not in entries:
            each.linkage = "internal"
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(whole, builder)


def _unknown(module: Any) -> list[str]:
    """The names that a module uses and does not define, without LLVM's own operations."""
    declared = [each.name for each in (*module.functions, *module.global_variables) if each.is_declaration]
    return sorted({*COPYING, *(name for name in declared if not name.startswith("llvm."))})


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def place(name: str, files: Iterable[Path]) -> Path:
    """The file of the library. Its name follows from everything that the code follows from."""
    digest = sha256(name.encode())
    for file in sorted(files):
        octets = file.read_bytes()
        digest.update(f"\n{file.name} {len(octets)}\n".encode() + octets)
    digest.update(repr((sys.version, sys.byteorder, _versions(), _processor())).encode())
    return folder() / f"{name}-{digest.hexdigest()[:32]}{SUFFIX}"


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


def _versions() -> dict[str, list[str]]:
    """The versions of the compilers. `importlib.metadata` would give them too, but its import takes longer."""
    found = {}
    for name in ("llvmlite", "numba"):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            # A distribution's folder is named for its version.
            folders = sorted(each.name for each in package.parent.glob(f"{name}-*-info"))
            found[name] = folders or [f"{package} {package.stat().st_mtime_ns}"]
    return found


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


def _unpacked(code: bytes) -> tuple[dict[str, tuple[str, int]], list[str], bytes]:
    """The entries, the undefined names, and the object code of a file; ValueError for a damaged file."""
    start = len(MAGIC) + 32
    rest = code[start:]
    if code[: len(MAGIC)] != MAGIC or sha256(rest).digest() != code[len(MAGIC) : start]:
        raise ValueError("not object code of labkit, or incomplete")
    head, _, octets = rest.partition(b"\n")
    names, unknown = loads(head)
    return {name: (symbol, arguments) for name, (symbol, arguments) in names.items()}, unknown, octets


def _read(path: Path) -> bytes:
    """Read a file that no other user can have written, because its code will run. OSError for any other file."""
    if reason := foreign(path):
        raise PermissionError(f"{path}: {reason}")
    for status in (path.parent.stat(), path.stat()):
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{path}: other users may write it")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not a file")  # a pipe could block its reader
    return path.read_bytes()


def _write(path: Path, code: bytes) -> None:
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
