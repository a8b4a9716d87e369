"""A wheel carries the machine code of the engine, for each platform; it is used at once, and for its own rules only."""

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from pythons import each_other, python3

pytest.importorskip("ziglang", reason="ziglang, which links for other platforms, is not installed")
pytest.importorskip("numpy", reason="numpy, with which captures are built to count branches, is not installed")

from labkit.analysis.native import library, packed
from labkit.build.bulk import build as build_capture

TOP = Path(__file__).parents[1]
MACHINE = "labkit/analysis/native/machine/"
HEADS = {
    "linux-x86_64": (b"\x7fELF", 2),
    "linux-aarch64": (b"\x7fELF", 1),
    "macos-x86_64": (b"\xcf\xfa\xed\xfe", 2),
    "macos-arm64": (b"\xcf\xfa\xed\xfe", 1),
}
"""How a library of a platform begins, and how many there are."""

# One worker runs all of these: the wheels are built once.
pytestmark = [pytest.mark.slow, pytest.mark.compiled, pytest.mark.timeout(600), pytest.mark.xdist_group("wheel")]


def build(folder: Path, *platforms: str) -> list[Path]:
    # `false` is no Python: the simulation is left out, which tests/test_compiled.py has.
    command = [sys.executable, TOP / "scripts/lib/wheel.py", "--python", "false", "--output", folder, *platforms]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("missing", ["numpy", "ziglang"])
def test_a_package_that_is_missing_is_named_in_one_line(missing: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(TOP / 'scripts/lib')!r}); import wheel; sys.modules[{missing!r}] = None; "
        "wheel.main()"
    )
    command = [sys.executable, "-P", "-c", code, "--output", tmp_path / "dist"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"wheel: {missing} not installed: pip install -r requirements-test.lock\n"
    assert not (tmp_path / "dist").exists()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = build(tmp_path_factory.mktemp("dist"), *HEADS)
    return dict(zip(HEADS, made, strict=True))


@pytest.fixture
def installed(wheels: dict[str, Path], tmp_path: Path) -> Path:
    """The folder of a fresh installation for this computer; the packages that labkit needs are those of the tests."""
    if sys.platform != "linux" or not sys.maxsize > 2**32:
        pytest.skip("no wheel that is built here runs here")
    name = f"linux-{platform.machine()}"
    if name not in wheels:
        pytest.skip(f"no wheel for {name}")
    with zipfile.ZipFile(wheels[name]) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path / "site"


def run(site: Path, code: str, python: str = sys.executable, *, arguments: Sequence[str] = ()) -> str:
    """What a program prints that has the installation, and no compiler."""
    before = "import sys; sys.modules['llvmlite'] = sys.modules['numpy'] = None\n"
    done = subprocess.run(
        [python, "-c", before + code, *arguments],
        env={"PYTHONPATH": str(site), "LABKIT_CACHE": str(site / "cache")},
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


VERIFY = f"""
from labkit.analysis.native import engine, kernels, library
assert kernels.__file__.startswith(sys.path[1]), kernels.__file__
verdicts = [engine.verify({str(TOP / "pcaps/conversations.pcapng")!r}, engine=each) for each in ("interpreted", "compiled")]
one, other = [(v.packets, v.flows, list(v.findings), v.limits) for v in verdicts]
print(library.is_packed(), one == other, one[0])
"""


def test_the_engine_of_a_wheel_judges_without_a_compiler(installed: Path) -> None:
    judged, same, packets = run(installed, VERIFY).split()
    assert (judged, same) == ("True", "True")
    assert int(packets) > 1000
    assert not (installed / "cache").exists()


CLEAN = """
from labkit.analysis.native import library, packed
from labkit.build.bulk import build as build_capture
from labkit.cli import run
print(run(["verify", "--quiet", sys.argv[1]]))
print(sorted(name for name in sys.modules if name in ("labkit.analysis.rules", "labkit.analysis.verifier")))
print(sorted(name for name in sys.modules if name in ("labkit.analysis.tracker", "labkit.packet.decode.walk")))
print(library.library(print).rules == packed.rule_rows(), len(packed.rule_rows()) > 100)
"""


def test_a_clean_capture_needs_neither_rules_nor_interpreter(installed: Path, tmp_path: Path) -> None:
    build_capture("http", 3_000, tmp_path / "clean.pcap")
    verdict, *_notes, code, rules, interpreter, same = run(
        installed, CLEAN, arguments=[str(tmp_path / "clean.pcap")]
    ).splitlines()
    assert "PASS" in verdict
    assert (code, rules, interpreter, same) == ("0", "[]", "[]", "True True")


@each_other
def test_other_versions_of_python_use_the_same_wheel(minor: int, installed: Path) -> None:
    judged, same, _packets = run(installed, VERIFY, python3(minor)).split()
    assert (judged, same) == ("True", "True")


PACKAGES = (
    "python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libexpat1 zlib1g libffi8 libssl3 libbz2-1.0 "
    "liblzma5"
)
"""Of Debian: Python for aarch64, and what it needs."""


@pytest.fixture(scope="session")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs Debian's Python for aarch64."""
    for program in ("qemu-aarch64", "apt-get", "dpkg"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("aarch64")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()
    places = {"State": "state", "State::status": "state/status", "Cache": "cache"}
    options = [f"-oDir::{name}={folder / place}" for name, place in places.items()]
    apt = ["apt-get", "-qq", "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", *options]
    for command in (["update"], ["download", *PACKAGES.split()]):
        if subprocess.run([*apt, *command], cwd=folder, capture_output=True).returncode:
            pytest.skip("Debian's Python 3.11 for aarch64 cannot be downloaded")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    return ["qemu-aarch64", "-L", str(folder / "root"), str(folder / "root/usr/bin/python3.11")]


EVERY = """
import platform, sys
from hashlib import sha256
from pathlib import Path
from labkit.analysis.native import engine, library
print(platform.machine(), library.is_packed())
for path in sorted(Path(sys.argv[1]).glob("*.pcap*")):
    if path.stat().st_size < 200_000:
        found = engine.verify(str(path), engine=sys.argv[2])
        whole = found.packets, list(found.findings), found.limits, list(found.conversations)
        print(path.name, found.packets, len(found.findings), sha256(repr(whole).encode()).hexdigest())
"""


def test_both_engines_agree_on_another_processor(aarch64: list[str], wheels: dict[str, Path], tmp_path: Path) -> None:
    """The compiled engine judges on the emulated processor, the interpreter, which is slow there, on this one."""
    with zipfile.ZipFile(wheels["linux-aarch64"]) as archive:
        archive.extractall(tmp_path / "site")
    site = tmp_path / "site"
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": f"{site}:{sysconfig.get_path('purelib')}",
        "LABKIT_CACHE": str(tmp_path),
    }
    there, here = (
        subprocess.run(
            [*python, "-c", EVERY, str(TOP / "pcaps"), engine],
            env=environment,
            cwd=site,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for python, engine in ((aarch64, "compiled"), ([sys.executable], "interpreted"))
    )
    assert there[0] == "aarch64 True"
    assert len(there) > 50
    assert there[1:] == here[1:]


@pytest.mark.parametrize(("processor", "level"), [("Nehalem", 2), ("Haswell", 3)])
def test_a_processor_gets_the_library_that_it_can_run(processor: str, level: int, installed: Path) -> None:
    if shutil.which("qemu-x86_64") is None:
        pytest.skip("qemu-x86_64 is not installed")
    code = (
        "from labkit.analysis.native import packed\n"
        "library = packed.PackedLibrary(packed.FOLDER + '/engine-x86_64_v2.so', {packed.LEVEL: 0})\n"
        "print(library.entries[packed.LEVEL]())"
    )
    site = installed
    environment = {"PYTHONPATH": str(site)}
    command = ["qemu-x86_64", "-cpu", processor, sys.executable, "-c", code]
    done = subprocess.run(
        command,
        env=environment,
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{level}\n"


@pytest.mark.parametrize("change", ["rule", "new rule", "digest", "library", "entry"])
def test_a_library_of_other_rules_is_never_loaded(change: str, installed: Path) -> None:
    machine = installed / MACHINE
    about = packed.About.of((machine / packed.ABOUT).read_text())
    match change:
        case "rule":
            rule = installed / "labkit/analysis/rules/reset.py"
            rule.write_text(rule.read_text() + "\n")
        case "new rule":
            (installed / "labkit/analysis/rules/another.py").write_text("")
        case "digest":
            about = about._replace(digest=about.digest[::-1])
        case "library":
            for each in about.libraries:
                (machine / each).write_bytes(b"\x7fELF no library")
        case "entry":
            about.entries["another"] = 1
    (machine / packed.ABOUT).write_text(about.text)
    assert run(installed, "from labkit.analysis.native import library\nprint(library.is_packed())") == "False"


@pytest.mark.parametrize("system", HEADS)
def test_a_wheel_has_libraries_and_a_record_of_them(system: str, wheels: dict[str, Path]) -> None:
    head, count = HEADS[system]
    with zipfile.ZipFile(wheels[system]) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    about = packed.About.of(files[MACHINE + packed.ABOUT].decode())
    assert about.digest == library.digest_of(about.sources)
    assert len(about.libraries) == count
    for name in about.libraries:
        octets = files[MACHINE + name]
        assert octets.startswith(head)
        assert all(f"labkit_{entry}".encode() in octets for entry in about.entries)
    (record,) = (name for name in files if name.endswith("RECORD"))
    rows = dict(line.split(",", 1) for line in files[record].decode().splitlines())
    assert rows.keys() == files.keys()
    for name in files.keys() - {record}:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        assert rows[name] == f"sha256={digest},{len(files[name])}"


def test_a_build_can_be_repeated(wheels: dict[str, Path], tmp_path: Path) -> None:
    (again,) = build(tmp_path, "linux-aarch64")
    assert again.name == wheels["linux-aarch64"].name
    assert again.read_bytes() == wheels["linux-aarch64"].read_bytes()
