"""The package's face: its public names load on demand, are listed, explained and typed."""

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import labkit
from labkit import Config, Direction, Finding, Frame, Limit, Segment
from labkit.analysis.limits import Conversation
from labkit.build.record import Record

TOP = Path(__file__).parents[1]
TREE = ast.parse(Path(labkit.__file__).read_text("utf-8"))


def test_every_name_is_declared_three_times_alike() -> None:
    """Programs read `_HOMES`, editors `__all__`, and type checkers the imports."""
    typed = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(TREE)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("labkit.")
        for alias in node.names
    }
    homes = {name: f"labkit.{home}" if ":" in home else f"labkit.{home}:{name}" for name, home in labkit._HOMES.items()}
    assert typed == homes
    assert sorted([*homes, "__version__"]) == labkit.__all__ == dir(labkit)


@pytest.mark.parametrize("name", labkit.__all__)
def test_every_name_is_there_and_explained(name: str) -> None:
    value = getattr(labkit, name)
    assert name == "__version__" or value.__doc__
    assert f"`{name}" in (TOP / "docs/api.md").read_text("utf-8")


def test_a_star_import_has_all_names() -> None:
    names: dict[str, object] = {}
    exec("from labkit import *", names)  # noqa: S102 - that is the test
    assert set(labkit.__all__) <= set(names)


def test_other_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="module 'labkit' has no attribute 'nonsense'"):
        labkit.nonsense  # noqa: B018


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, labkit; dir(labkit); print(sorted(name for name in sys.modules if name.startswith('labkit')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['labkit', 'labkit.compiled']\n"  # the second finds the others


@pytest.mark.parametrize("owner", [Config, Conversation, Direction, Finding, Frame, Limit, Record, Segment])
def test_every_field_is_explained(owner: type) -> None:
    """The fields of public values; of a Config those that are not habits of measured stacks."""
    names = getattr(owner, "_fields", None) or [each.name for each in fields(owner)]
    own = names[: names.index("syn_layouts")] if owner is Config else names
    text = (TOP / "docs/api.md").read_text("utf-8")
    assert [name for name in own if f"`{name}`" not in text] == []


def test_each_task_has_under_ten_lines() -> None:
    tasks = re.findall(r"^```python\n(.*?)^```", (TOP / "docs/api.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(tasks) >= 10
    assert max(sum(map(bool, each.splitlines())) for each in tasks) < 10


@pytest.mark.slow
def test_a_strict_type_checker_understands_what_the_page_shows(tmp_path: Path) -> None:
    """Every Python example of docs/api.md, in the order of the page, passes `mypy --strict` in a project of its own."""
    text = (TOP / "docs/api.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    consumer = tmp_path / "consumer.py"
    consumer.write_text("\n".join(blocks), "utf-8")
    (tmp_path / "wrong.py").write_text(
        "import labkit\nlabkit.verify('a.pcap', fail_on=3.5)\nlabkit.verify('a.pcap').packets = 1\nlabkit.nonsense\n",
        "utf-8",
    )
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-scapy.*]\nfollow_imports = skip\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", "consumer.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(\w+\.py):(\d+): error: ", done.stdout, re.MULTILINE)
    assert found == [("wrong.py", "2"), ("wrong.py", "3"), ("wrong.py", "4")], done.stdout
