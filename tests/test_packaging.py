"""What is installed: the wheel, the lock files and the scripts."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from labkit import __version__
from labkit.report import wireshark

TOP = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
SCRIPTS = (
    "scripts/audit",
    "scripts/bench",
    "scripts/demo",
    "scripts/fuzz",
    "scripts/matrix",
    "scripts/test",
    "scripts/lock",
    ".ci/run",
)
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves files behind, and takes up those of the one before."""
    copy = tmp_path_factory.mktemp("source")
    shutil.copytree(TOP / "labkit", copy / "labkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, copy)
    target = tmp_path_factory.mktemp("wheel")
    command = (*PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", target, copy)
    subprocess.run(command, check=True, timeout=120)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed, apart from the checkout."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run((*PIP, "install", "--no-index", "--no-deps", "--target", target, wheel), check=True)
    return target


def labkit(installed: Path, *args: str, program: tuple[str, ...] = ("-m", "labkit")) -> str:
    """The output of the installed labkit, which must succeed and be silent otherwise."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *program, *args],
        cwd=installed.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_whole(wheel: Path) -> None:
    kinds = {".css", ".js", ".json", ".lua", ".mo", ".po", ".py", ".toml", ".typed", ".yaml"}
    here = {path.relative_to(TOP).as_posix() for path in (TOP / "labkit").rglob("*") if path.suffix in kinds}
    # Wireshark gives its files names without a suffix.
    here |= {f"labkit/report/wireshark/{name}" for name in wireshark.FILES.values()}
    here = {name for name in here if "__pycache__" not in name}
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert there == here | {"labkit/py.typed"}
    assert "labkit/build/scenarios/document.yaml" in there


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    folder = f"labkit-{__version__}.dist-info"
    about = archive.read(f"{folder}/METADATA").decode()
    assert f"Version: {__version__}\n" in about
    assert "License-Expression: MIT\n" in about
    assert "Requires-Python: >=3.11\n" in about
    assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert "labkit = labkit.__main__:main" in archive.read(f"{folder}/entry_points.txt").decode()


def test_the_installed_package_is_used(installed: Path) -> None:
    found = labkit(installed, program=("-c", "import labkit; print(labkit.__file__)"))
    assert Path(found.strip()) == installed / "labkit" / "__init__.py"


def test_the_installed_commands_work(installed: Path) -> None:
    script = (str(installed / "bin" / "labkit"),)
    assert labkit(installed, "--version") == f"labkit {__version__}\n"
    assert labkit(installed, "--version", program=script) == f"labkit {__version__}\n"
    assert "document" in labkit(installed, "scenarios")


def locked(name: str) -> dict[str, str]:
    """Package -> version of a lock file, every line of which must be a pinned package or its hash."""
    versions = {}
    for line in (TOP / name).read_text("utf-8").splitlines():
        match = re.fullmatch(r"([a-z0-9-]+)==([\w.]+)( ; [^\\]+)? \\", line)
        if match:
            versions[match[1]] = match[2]
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), f"{name}: {line}"
    return versions


def names(requirements: list[str]) -> set[str]:
    """The normalised names of requirements (PEP 503)."""
    return {re.split(r"[<>=!~ \[;]", each)[0].replace(".", "-").lower() for each in requirements}


def test_the_lock_files_name_all_and_agree() -> None:
    run, test = locked("requirements.lock"), locked("requirements-test.lock")
    assert names(PROJECT["dependencies"]) | {"setuptools"} <= run.keys()
    assert names(PROJECT["optional-dependencies"]["test"]) <= test.keys()
    assert run.items() <= test.items(), "what is tested is not what runs"
    assert names(PROJECT["optional-dependencies"]["test"]).isdisjoint(run)
    for extra in ("fast", "cluster"):
        more = locked(f"requirements-{extra}.lock")
        assert names(PROJECT["optional-dependencies"][extra]) | run.keys() <= more.keys()
        assert more.items() <= test.items(), "what is tested is not what runs"
    site = locked("requirements-site.lock")
    assert names(PROJECT["optional-dependencies"]["site"]) | run.keys() <= site.keys()
    assert run.items() <= site.items(), "the site does not show what runs"


def test_the_bill_of_materials_is_that_of_the_lock_files() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import audit; print(audit.sbom(), end='')"],
        env={**os.environ, "PYTHONPATH": str(TOP / "scripts" / "lib")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (TOP / "labkit" / "cli" / "sbom.cdx.json").read_text("utf-8") == done.stdout, "run scripts/audit --sbom"


def test_the_audit_names_each_package_and_its_licence() -> None:
    done = subprocess.run([TOP / "scripts" / "audit"], capture_output=True, text=True, check=True, timeout=120)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines.keys() == locked("requirements-test.lock").keys() | locked("requirements-cluster.lock").keys()
    assert "GPL" in lines["scapy"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_run(name: str) -> None:
    assert os.access(TOP / name, os.X_OK)
    subprocess.run(["sh", "-n", TOP / name], check=True)


def test_versions_agree() -> None:
    assert PROJECT["version"] == __version__
