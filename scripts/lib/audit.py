"""The packages of the lock files, with their licences, as a table or as a bill of materials; see scripts/audit."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SBOM = TOP / "labkit" / "cli" / "sbom.cdx.json"
LOCKS = {
    "": "requirements.lock",
    "fast": "requirements-fast.lock",
    "cluster": "requirements-cluster.lock",
    "test": "requirements-test.lock",
}
"""Lock files by the extra that each adds to the packages that labkit needs."""

SHIPPED = ("", "fast", "cluster")


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """The packages of a lock file: version, and SHA-256 of the files."""
    found: dict[str, tuple[str, list[str]]] = {}
    last = ""
    for line in (TOP / name).read_text("ascii").splitlines():
        if head := re.match(r"([\w.-]+)==([^\s;]+)", line):
            last = head[1]
            found[last] = (head[2], [])
        elif digest := re.search(r"sha256:([0-9a-f]{64})", line):
            found[last][1].append(digest[1])
    return found


def packages(extras: tuple[str, ...] = tuple(LOCKS)) -> dict[str, tuple[str, list[str], str]]:
    """All packages: version, digests, and the first extra that needs them ("": labkit itself)."""
    found: dict[str, tuple[str, list[str], str]] = {}
    for extra in extras:
        for name, (version, digests) in locked(LOCKS[extra]).items():
            found.setdefault(name, (version, digests, extra))
    return dict(sorted(found.items()))


def licence(name: str) -> str:
    """What the installed package says of its licence; "not installed" where it is not."""
    try:
        about = distribution(name).metadata
    except PackageNotFoundError:
        return "not installed"
    if said := about.get("License-Expression"):
        return str(said)
    classes = [
        each.rpartition(" :: ")[2] for each in about.get_all("Classifier") or [] if each.startswith("License ::")
    ]
    return "; ".join(classes) or str(about.get("License") or "unknown").splitlines()[0][:60]


def newest(name: str) -> str:
    """The newest version that pip's index has."""
    command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\(([^)]+)\)", done.stdout)
    return found[1] if found else "unknown"


def sbom() -> str:
    """The bill of materials: what is installed with labkit and with its extras. It depends on the lock files alone."""
    parts = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "scope": "optional" if extra else "required",
            "hashes": [{"alg": "SHA-256", "content": each} for each in digests],
        }
        for name, (version, digests, extra) in packages(SHIPPED).items()
    ]
    project = re.search(r'^version = "([^"]+)"', (TOP / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    about = {"type": "application", "name": "labkit", "version": project[1] if project else ""}
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": about},
        "components": parts,
    }
    return json.dumps(whole, indent=1) + "\n"


def main() -> int:
    """Print the table, or write the bill of materials."""
    if "--sbom" in sys.argv:
        SBOM.write_text(sbom(), "utf-8")
        print(f"audit: {SBOM.relative_to(TOP)}", file=sys.stderr)
        return 0
    for name, (version, _digests, extra) in packages().items():
        last = f"  {newest(name):<12}" if "--newest" in sys.argv else ""
        print(f"{name:<24} {version:<12}{last} {extra or 'labkit':<8} {licence(name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
