"""Machine code that outlives the process that made it.

Importing Numba takes about a second, longer than judging a million packets. So what it compiles is kept as object code in a
folder of the user's, and loaded from there with llvmlite alone, in a few milliseconds. A file is named for all that it was
made from, the sources, the versions and the processor: other sources find no file, and are compiled anew, so that stale code
cannot be loaded.

An entry is a function over integers and pointers, all of 64 bits. It allocates nothing and raises nothing: its memory is the
caller's. The interpreter's lock is released while one runs.
"""

import ctypes
import os
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

MAGIC = b"labkit object code, format 3\n"
KEPT = 8
"""Files in the folder; the oldest give way."""
FOLDER = "LABKIT_CACHE"
"""The environment's variable that names the folder."""
SUFFIX = ".object"

COPYING = {"memcpy": ctypes.memmove, "memmove": ctypes.memmove, "memset": ctypes.memset}
"""What LLVM makes of copying and filling. What else the code names is Numba's, for exceptions and references: there are none
of either, so that it is never called. But each name must have an address: where one has none, LLVM fills in none at all."""

Entry = Callable[..., int]
"""Takes integers, and addresses as integers; gives an integer."""


class EntrySource(NamedTuple):
    """An entry before it is compiled."""

    function: Callable[..., int]
    """What Numba is to compile."""
    signature: Any
    """In Numba's types, and those of `labkit.analysis.native.memory`: `types.int64(numbers("u1"), types.int64, ...)`."""


class Library:
    """Loaded machine code: its `entries` by name."""

    def __init__(self, code: bytes) -> None:
        """Load what `build` has made. ImportError without llvmlite, ValueError where it is something else."""
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
    name: str, files: Iterable[Path], sources: Callable[[], Mapping[str, EntrySource]], say: Callable[[], None]
) -> Library:
    """The library of some entries: from the user's folder, or compiled and put there.

    `files` are all that its code follows from; `name` tells libraries of the same files apart. `sources` gives the entries
    where they must be compiled, which may take a minute; `say` is called before that. ImportError where llvmlite is missing,
    or Numba, which is needed to compile.
    """
    path = place(name, files)
    with suppress(ValueError, OSError):
        return Library(_read(path))
    say()
    code = build(sources())
    with suppress(OSError):
        _write(path, code)
    return Library(code)


def is_built(name: str, files: Iterable[Path]) -> bool:
    """Whether the library is in the user's folder, whole, so that `load` takes no time."""
    with suppress(ValueError, OSError):
        _unpacked(_read(place(name, files)))
        return True
    return False


def build(sources: Mapping[str, EntrySource]) -> bytes:
    """Compile entries; what `Library` loads. ImportError where Numba is missing."""
    import llvmlite.binding as llvm
    from numba import cfunc

    whole, names = llvm.parse_assembly(""), {}
    with _unoptimised():
        for name, (function, signature) in sources.items():
            made = cfunc(signature, error_model="numpy")(function)
            names[name] = made.native_name, len(signature.args)
            whole.link_in(llvm.parse_assembly(made.inspect_llvm()))
    machine = _machine()
    _optimise(whole, machine, {symbol for symbol, _ in names.values()})
    octets: bytes = machine.emit_object(whole)
    rest = dumps([names, _unknown(whole)]).encode() + b"\n" + octets
    return MAGIC + sha256(rest).digest() + rest


@contextmanager
def _unoptimised() -> Iterator[None]:
    """Within, Numba leaves its code as it is: it would optimise each function with all that it calls, again and again."""
    from numba.core import config
    from numba.core.registry import cpu_target

    cpu_target.target_context.codegen()  # it is made once, and is to remain as it would have been
    before = config.OPT
    config.OPT = type(before)(0)
    try:
        yield
    finally:
        config.OPT = before


def _optimise(whole: Any, machine: Any, entries: set[str]) -> None:
    """Optimise a module as a whole, of which only some functions are called from outside."""
    import llvmlite.binding as llvm

    for each in whole.functions:
        if not each.is_declaration and each.name not in entries:
            each.linkage = "internal"
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(whole, builder)


def _unknown(module: Any) -> list[str]:
    """The names that a module uses and does not define; those of LLVM's own operations left out."""
    declared = [each.name for each in (*module.functions, *module.global_variables) if each.is_declaration]
    return sorted({*COPYING, *(name for name in declared if not name.startswith("llvm."))})


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def place(name: str, files: Iterable[Path]) -> Path:
    """Where the library is kept: a file whose name follows from all that its code follows from."""
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
    """What is installed of that which compiles. `importlib.metadata` would say the same, and takes a while to be imported."""
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
    """What LLVM must know to make code for this processor."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    processor, features = _processor()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=processor, features=features, opt=3, codemodel="jitdefault", jit=True
    )


def _unpacked(code: bytes) -> tuple[dict[str, tuple[str, int]], list[str], bytes]:
    """The entries, the names they need, and the object code, of a file that is whole; ValueError for any other."""
    start = len(MAGIC) + 32
    rest = code[start:]
    if code[: len(MAGIC)] != MAGIC or sha256(rest).digest() != code[len(MAGIC) : start]:
        raise ValueError("this is no object code of labkit's, or not all of it")
    head, _, octets = rest.partition(b"\n")
    names, unknown = loads(head)
    return {name: (symbol, arguments) for name, (symbol, arguments) in names.items()}, unknown, octets


def _read(path: Path) -> bytes:
    """A file that nobody else can have written; OSError for any other, for what is loaded will run."""
    for status in (path.parent.stat(), path.stat()):
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{path}: others may write it")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: is no file")  # another thing could keep its reader waiting
    return path.read_bytes()


def _write(path: Path, code: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What a process leaves that is ended here gives way like all else that is old.
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
