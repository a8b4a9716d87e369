"""Machine code is compiled once and kept in the user's folder. After a change of its sources it is never loaded."""

import ctypes
import os
import resource
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("llvmlite", reason="llvmlite is not installed")

from labkit.analysis.native import loader
from labkit.analysis.native.assembly import Assembly
from labkit.analysis.native.lines import INT, numbers
from labkit.analysis.native.loader import is_built, load, place
from labkit.analysis.native.packed import Library
from labkit.errors import UncompilableError

TEXT = """
def plus_one(number):
    return number + 1

def total(octets, count):
    found = 0
    for i in range(count):
        found += octets[i]
        octets[i] = plus_one(octets[i])
    return found

def copied(to, source, count):
    copy(to, 0, source, 0, count)
    return count

def doubled(number):
    return 2 * number
"""


def source() -> Assembly:
    whole, octets = Assembly(TEXT), numbers("u1")
    whole.add_entry("copied", "copied", (octets, octets, INT))
    whole.add_entry("total", "total", (octets, INT))
    whole.add_entry("doubled", "doubled", (INT,))
    return whole


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "cache"
    monkeypatch.setenv(loader.FOLDER, str(found))
    return found


def test_a_compiler_that_is_too_old(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """llvmlite 0.44 has LLVM 15."""
    monkeypatch.setattr("llvmlite.binding.llvm_version_info", (15, 0, 7))
    monkeypatch.setattr("llvmlite.__version__", "0.44.0")
    noticed: list[str] = []
    with pytest.raises(UncompilableError, match=r"^llvmlite 0\.44\.0 is too old; expected 0\.45 or later$"):
        load("a", [file], source, noticed.append)
    assert noticed == []
    assert not folder.exists()


def test_the_project_asks_for_a_compiler_that_is_new_enough() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"llvmlite>={loader.LEAST}" in project["optional-dependencies"]["fast"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "rules.py"
    found.write_text("a rule")
    return found


class Signalled:
    """Counts compilations."""

    def __init__(self) -> None:
        self.times = 0
        self.obstacle = ""
        """Why the last one cannot be kept."""

    def __call__(self, obstacle: str) -> None:
        self.times += 1
        self.obstacle = obstacle


def loaded(file: Path, told: Signalled) -> Library:
    return load("test", [file], source, told)


def test_entries_work_on_the_callers_memory(folder: Path, file: Path) -> None:
    told = Signalled()
    for times in (1, 1):
        library = loaded(file, told)
        octets = ctypes.create_string_buffer(bytes([1, 2, 255]), 3)
        assert library.entries["total"](ctypes.addressof(octets), 3) == 258
        assert octets.raw == bytes([2, 3, 0])
        assert library.entries["doubled"](1 << 40) == 1 << 41
        assert told.times == times
    assert is_built("test", [file])
    assert not is_built("another", [file])


def test_a_changed_source_is_compiled_again(folder: Path, file: Path) -> None:
    told = Signalled()
    loaded(file, told)
    before = place("test", [file])
    file.write_text("a better rule")
    assert place("test", [file]) != before
    assert not is_built("test", [file])
    loaded(file, told)
    assert told.times == 2


def broken(octets: bytes) -> bytes:
    return octets[:-1] + bytes([octets[-1] ^ 1])


def renamed(octets: bytes) -> bytes:
    """With another number of arguments, before the machine code."""
    return octets.replace(b'"doubled": 1', b'"doubled": 7', 1)


@pytest.mark.parametrize(
    "spoil", [lambda octets: octets[:-100], broken, renamed, lambda _: b"", lambda _: b"\x7fELF" * 99]
)
def test_a_damaged_file_is_compiled_again(spoil: Callable[[bytes], bytes], folder: Path, file: Path) -> None:
    told = Signalled()
    loaded(file, told)
    path = place("test", [file])
    whole = path.read_bytes()
    assert spoil(whole) != whole
    path.write_bytes(spoil(whole))
    assert not is_built("test", [file])
    assert loaded(file, told).entries["doubled"](21) == 42
    assert told.times == 2
    assert loaded(file, told).entries["doubled"](4) == 8
    assert told.times == 2


@pytest.mark.parametrize("who", [0o020, 0o002], ids=["group", "all"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_code_that_other_users_may_have_written_is_not_loaded(what: str, who: int, folder: Path, file: Path) -> None:
    told = Signalled()
    loaded(file, told)
    (place("test", [file]) if what == "file" else folder).chmod(0o700 | who)
    loaded(file, told)
    assert told.times == 2


def in_vain(file: Path, obstacle: str) -> None:
    """Nothing can be kept: each load compiles, and says why."""
    told = Signalled()
    for times in (1, 2):
        assert loaded(file, told).entries["doubled"](4) == 8
        assert told.times == times
        assert told.obstacle == obstacle
        assert not is_built("test", [file])


def test_a_folder_that_cannot_be_written_costs_only_time(file: Path, folder: Path) -> None:
    folder.write_text("no folder")
    in_vain(file, "it is not a folder")


def test_a_user_without_a_home(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (loader.FOLDER, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    in_vain(file, "Not a directory")


def test_a_file_in_the_place_of_the_users_caches(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(loader.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    in_vain(file, "Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_without_write_permission(file: Path, folder: Path) -> None:
    folder.mkdir(mode=0o500)
    in_vain(file, "Permission denied")


@pytest.mark.parametrize("who", [0o020, 0o002], ids=["group", "all"])
def test_a_folder_that_other_users_can_write_keeps_nothing(who: int, file: Path, folder: Path) -> None:
    """What stood there could not be loaded."""
    folder.mkdir()
    folder.chmod(0o700 | who)
    in_vain(file, f"other users can write {folder}")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the folder of another user")
def test_the_folder_of_another_user(file: Path, folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    in_vain(file, f"{folder} belongs to another user")
    assert list(folder.iterdir()) == []


def test_code_that_can_be_kept_has_no_obstacle(file: Path, folder: Path) -> None:
    told = Signalled()
    loaded(file, told)
    assert (told.times, told.obstacle) == (1, "")
    assert list(folder.iterdir()) == [place("test", [file])]
    assert place("test", [file]).stat().st_size < loader.ROOM


def test_a_disk_that_is_full(file: Path, folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        in_vain(file, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []


def test_a_folder_in_the_place_of_the_file(file: Path, folder: Path) -> None:
    place("test", [file]).mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    in_vain(file, f"{place('test', [file])} is a folder")


def test_a_pipe_in_the_place_of_the_file_does_not_block(file: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.mkfifo(place("test", [file]), 0o600)
    assert loaded(file, Signalled()).entries["doubled"](4) == 8
    assert is_built("test", [file])


def compiling(file: Path, notice: str = "print('compiling', flush=True)") -> "subprocess.Popen[str]":
    """Another process, which runs `notice` before it compiles, and then uses its code."""
    code = (
        "from pathlib import Path; from labkit.analysis.native.assembly import Assembly\n"
        "from labkit.analysis.native.lines import INT\n"
        "from labkit.analysis.native.loader import load\n"
        "whole = Assembly('def doubled(number):\\n    return 2 * number')\n"
        "whole.add_entry('doubled', 'doubled', (INT,))\n"
        f"library = load('test', [Path({str(file)!r})], lambda: whole, lambda _why: {notice})\n"
        "print(library.entries['doubled'](21))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_processes_compile_at_once_and_one_is_killed(file: Path, folder: Path) -> None:
    first = compiling(file, "[print('compiling', flush=True), __import__('time').sleep(60)]")
    assert first.stdout is not None
    with first.stdout:
        assert first.stdout.readline() == "compiling\n"
        others = [compiling(file) for _ in range(2)]
        first.kill()
        first.wait()
    for other in others:
        assert other.communicate()[0] in ("compiling\n42\n", "42\n")
        assert other.returncode == 0
    assert list(folder.iterdir()) == [place("test", [file])]


def test_old_files_are_removed(folder: Path, file: Path) -> None:
    folder.mkdir(mode=0o700)
    for number in range(loader.KEPT + 3):
        path = folder / f"old-{number:02}{loader.SUFFIX}"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    loaded(file, Signalled())
    left = sorted(path.name for path in folder.iterdir())
    assert len(left) == loader.KEPT
    assert f"old-00{loader.SUFFIX}" not in left
    assert place("test", [file]).name in left


def test_kept_code_is_loaded_alone(folder: Path, file: Path) -> None:
    loaded(file, Signalled())
    code = (
        "import ctypes, sys; from pathlib import Path; from labkit.analysis.native.loader import load\n"
        f"library = load('test', [Path({str(file)!r})], None, None)\n"
        # Copying calls a function of the C library, by an address that the loader has to find.
        "one, other = ctypes.create_string_buffer(b'octets'), ctypes.create_string_buffer(6)\n"
        "library.entries['copied'](ctypes.addressof(other), ctypes.addressof(one), 5)\n"
        "print(library.entries['doubled'](8), other.raw, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "16 b'octet\\x00' False\n"


@pytest.mark.parametrize("home", ["missing", "none"])
def test_a_user_without_a_home_has_no_cache(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(loader.FOLDER, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)

    def find_home() -> Path:
        if home == "none":
            raise RuntimeError("Could not determine home directory.")
        return tmp_path / "nonexistent"

    monkeypatch.setattr(Path, "home", find_home)
    assert loader.folder() == Path(os.devnull, "labkit")
    with pytest.raises(OSError, match="Not a directory"):
        loader._write(loader.folder() / "x.object", b"code")
    assert not (tmp_path / "nonexistent").exists()


def test_the_cache_lies_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(loader.FOLDER, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loader.folder() == tmp_path / ".cache" / "labkit"
