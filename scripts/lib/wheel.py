"""Build wheels that carry the engine as a shared library: scripts/wheel runs this file.

The library is made from the module that labkit itself compiles, to which is added how often each branch is taken (`branches`).
It uses nothing of the system but `memcpy` and its like, so that one file serves glibc and musl. Beside it stands a digest of the
sources that it was made from: labkit loads it for no others. For Linux on x86-64 with glibc, a wheel also has the simulation as
machine code (`simulation`), for some versions of Python.
"""

import argparse
import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import branches
import simulation

from labkit.analysis.native import kernels, library, packed

TOP = Path(__file__).parents[2]
LEVEL = Path(__file__).with_name("level.c")
DATE = (1980, 1, 1, 0, 0, 0)
"""Of the files in a wheel, so that a build can be repeated."""
NEEDED = ("numpy", "ziglang")
"""Packages without which no branch can be counted: numpy makes the larger captures, ziglang compiles."""


class Platform(NamedTuple):
    """A platform that a wheel is for."""

    tags: str
    """Of the wheel's name (PEP 425, 600 and 656)."""
    target: str
    """As the compiler calls it."""
    processors: tuple[str, ...]
    """Processors as the compiler calls them: one library for each, from the oldest to the newest."""
    suffix: str = "so"
    simulates: bool = False
    """Whether the wheel has the simulation too, which is compiled with the headers of this computer's Pythons."""


X86 = ("x86_64_v2", "x86_64_v3")
PLATFORMS = {
    "linux-x86_64": Platform("manylinux_2_17_x86_64.musllinux_1_1_x86_64", "x86_64-linux-gnu", X86, simulates=True),
    "linux-aarch64": Platform("manylinux_2_17_aarch64.musllinux_1_1_aarch64", "aarch64-linux-gnu", ("generic",)),
    "macos-x86_64": Platform("macosx_11_0_x86_64", "x86_64-macos", X86, "dylib"),
    "macos-arm64": Platform("macosx_11_0_arm64", "aarch64-macos", ("apple_m1",), "dylib"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="wheel", description=__doc__)
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(PLATFORMS))
    parser.add_argument("--output", type=Path, default=TOP / "dist", metavar="FOLDER")
    parser.add_argument(
        "--python", action="append", metavar="PROGRAM", help="compile the simulation for this Python; repeatable"
    )
    given = parser.parse_args()
    if unknown := set(given.platforms) - set(PLATFORMS):
        parser.error(f"{', '.join(sorted(unknown))}: expected one of {', '.join(PLATFORMS)}")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        parser.exit(4, f"wheel: {' and '.join(missing)} not installed: pip install -r requirements-test.lock\n")
    given.output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        work = Path(folder)
        pure = build_pure(work)
        engine = kernels.assembly()
        sources = library.sources()
        rules = {f"analysis/rules/{each.name}" for each in (TOP / "labkit/analysis/rules").glob("*.py")}
        if not rules.issubset(sources):  # a library that follows from less than it is checked by would outlive a change
            sys.exit(f"wheel: the sources lack {', '.join(sorted(rules.difference(sources)))}")
        say("counting how often branches are taken")
        (work / "engine.ll").write_text(branches.weighted(engine, work))
        for name in given.platforms or PLATFORMS:
            say(f"compiling for {name}")
            added = compiled(PLATFORMS[name], work, engine.entries, sources)
            if PLATFORMS[name].simulates:
                added |= simulated(PLATFORMS[name], work, given.python or pythons())
            print(repacked(pure, PLATFORMS[name], added, given.output))


def pythons() -> list[str]:
    """The programs of the versions of Python that are found here."""
    found = (shutil.which(f"python3.{minor}") for minor in range(11, 15))
    return [sys.executable, *filter(None, found)]


def say(line: str) -> None:
    print(f"wheel: {line}", file=sys.stderr, flush=True)


def build_pure(work: Path) -> Path:
    """The wheel without machine code, as setuptools builds it."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps", "--no-index"]
    # setuptools would leave its folder `build` in the checkout, and take from it what is no longer there.
    sources = work / "sources"
    names = ("labkit", "pyproject.toml", "README.md", "LICENSE")
    listed = subprocess.run(["git", "ls-files", "-z", "--", *names], cwd=TOP, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (TOP / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            (sources / name).write_bytes((TOP / name).read_bytes())
    subprocess.run([*pip, "--no-build-isolation", "-w", str(work), str(sources)], check=True)
    (wheel,) = work.glob("*.whl")
    return wheel


def compiled(platform: Platform, work: Path, entries: dict[str, int], sources: list[str]) -> dict[str, bytes]:
    """The files that a wheel for a platform has besides: libraries, and what they are."""
    found = {}
    for processor in platform.processors:
        made = work / f"engine-{processor}.{platform.suffix}"
        given = ["engine.ll", *([str(LEVEL)] if len(platform.processors) > 1 else [])]
        # A macOS library must be linked to the system's; the others find `memcpy` in the process that loads them.
        alone = [] if platform.suffix == "dylib" else ["-nostdlib"]
        flags = ["-target", platform.target, f"-mcpu={processor}", "-O3", "-shared", "-fPIC", "-s", *alone]
        compiler = [sys.executable, "-m", "ziglang", "cc"]
        subprocess.run([*compiler, *flags, "-Wno-override-module", *given, "-o", made.name], cwd=work, check=True)
        found[made.name] = made.read_bytes()
    about = packed.About(sources, library.digest_of(sources), list(found), entries, packed.rule_rows())
    found[packed.ABOUT] = about.text.encode()
    folder = Path(packed.FOLDER).relative_to(TOP).as_posix()
    return {f"{folder}/{name}": octets for name, octets in found.items()}


def simulated(platform: Platform, work: Path, programs: list[str]) -> dict[str, bytes]:
    """The libraries of the simulation."""
    wanted = list(simulation.pythons(programs))
    if not wanted:
        say("no Python with its headers is found: the wheel has no compiled simulation")
        return {}
    say(f"compiling the simulation for Python {', '.join(f'{major}.{minor}' for (major, minor), *_ in wanted)}")
    return {f"labkit/{name}": octets for name, octets in simulation.libraries(wanted, platform.target, work).items()}


def repacked(pure: Path, platform: Platform, added: dict[str, bytes], output: Path) -> Path:
    """The wheel with more files, and the tags of the platform."""
    with zipfile.ZipFile(pure) as archive:
        files = {each.filename: archive.read(each) for each in archive.infolist() if not each.is_dir()} | added
    (about,) = (name for name in files if name.endswith(".dist-info/WHEEL"))
    lines = [
        line
        for line in files[about].decode().splitlines()
        if line and not line.startswith(("Tag:", "Root-Is-Purelib:"))
    ]
    lines += ["Root-Is-Purelib: false", *(f"Tag: py3-none-{tag}" for tag in platform.tags.split("."))]
    files[about] = "\n".join(lines).encode() + b"\n"
    (record,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    del files[record]
    rows = [f"{name},sha256={hashed(octets)},{len(octets)}" for name, octets in sorted(files.items())]
    files[record] = "\n".join([*rows, f"{record},,"]).encode() + b"\n"
    made = output / pure.name.replace("py3-none-any", f"py3-none-{platform.tags}")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in files.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, octets)
    return made


def hashed(octets: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
