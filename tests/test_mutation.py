"""The verdict tests notice a missing rule, and `scripts/mutation` tells noticed changes from unnoticed ones."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from labkit.analysis import tracker, verifier
from labkit.analysis.catalogue import collect
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import DOCUMENT, LITERAL, RFC9293
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

TOP = Path(__file__).parents[1]
LIB = TOP / "scripts" / "lib"


@pytest.fixture(scope="module")
def mutation() -> Iterator[ModuleType]:
    sys.path.insert(0, str(LIB))
    yield import_module("mutation")
    sys.path.remove(str(LIB))


def places(rule: Rule) -> set[tuple[int | None, str]]:
    """The packets at which the rule's bad example has a finding of this rule's code and name."""
    profile = next((each for each in (RFC9293, DOCUMENT) if each in rule.profiles), DOCUMENT)
    verdict = Verifier(profile, literal=rule.profiles == {LITERAL}).run(frames(list(parse(rule.bad))))
    return {(each.packet, each.code) for each in verdict.findings if each.name == rule.name}


def marked(rule: Rule) -> set[tuple[int | None, str]]:
    """The packets that the rule's bad example marks with its code; None for the whole conversation."""
    found: set[tuple[int | None, str]] = set()
    number = 0
    for line in rule.bad.splitlines():
        segment, _, comment = line.partition("#")
        number += bool(segment.strip())
        if rule.code in re.findall(r"[A-Z]+\d\d", comment):
            found.add((number if segment.strip() else None, rule.code))
    return found


@pytest.mark.parametrize(
    "rule", [rule for rule in collect() if rule.scope != Scope.LEDGER], ids=lambda rule: f"{rule.code}-{rule.name}"
)
def test_a_silent_rule_fails_its_bad_example(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    found = marked(rule) & places(rule)
    assert found
    others = tuple(each for each in collect() if each is not rule)
    monkeypatch.setattr(verifier, "collect", lambda: others)
    assert not found & places(rule)


def sized(low: int, high: int, *, strict: bool = True) -> bool:
    if low == 7 and not strict:
        return False
    return low < high and high > 1


def test_every_change_of_a_function_is_one_mutant(mutation: ModuleType) -> None:
    changes = [each.change for each in mutation.mutants(sized)]
    assert sorted(changes) == sorted(
        [
            *("if never", "and ↔ or", "without operand 1", "without operand 2", "without not", "Eq → NotEq", "7 → 6"),
            *("False → True", "and ↔ or", "without operand 1", "without operand 2", "Lt → LtE", "Gt → GtE", "1 → 0"),
        ]
    )


def test_a_mutant_takes_the_place_of_its_function_for_a_while(mutation: ModuleType) -> None:
    before = sized.__code__
    mutant = next(each for each in mutation.mutants(sized) if each.change == "Lt → LtE")
    assert not sized(5, 5)
    with mutation.installed(mutant):
        assert sized(5, 5)
    assert sized.__code__ is before
    assert mutant.place[0] == __file__
    assert "low < high" in Path(__file__).read_text("utf-8").splitlines()[mutant.line - 1]


def test_methods_and_properties_are_changed_too(mutation: ModuleType) -> None:
    names = {each.__qualname__ for each in mutation.functions("labkit.tcp.endpoint")}
    assert {"Endpoint.receive", "Endpoint.state"} & names
    assert {each.__qualname__ for each in mutation.functions(tracker.__name__)} >= {"look", "advance"}


def test_the_sample_is_the_same_each_time(mutation: ModuleType) -> None:
    one, other = ([str(job.mutant) for job in mutation.sample("pending", 15)[0]] for _ in range(2))
    assert one == other
    assert len(one) == len(set(one)) == 15


def test_the_page_has_no_family_below_the_goal(mutation: ModuleType) -> None:
    rows = [line.strip("| ").split(" | ") for line in mutation.PAGE.read_text("utf-8").splitlines() if line[:2] == "| "]
    rates = {name: int(rate.rstrip("%")) for name, *_, rate in rows[2:]}
    assert rates
    assert rates.keys() <= mutation.FAMILIES.keys()
    assert [name for name, rate in rates.items() if rate < 100 * mutation.GOAL] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A module with two functions, of which the tests check one."""
    (tmp_path / "shop.py").write_text("def price(n):\n    return n * 3\n\n\ndef stock(n):\n    return n + 5\n")
    (tmp_path / "test_shop.py").write_text(
        "import shop\n\n\ndef test_price():\n    assert shop.price(2) == 6\n\n\ndef test_stock():\n    shop.stock(2)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text('from hypothesis import settings\n\nsettings.register_profile("quick")\n')
    return tmp_path


def tried(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the script on the module, in a process of its own."""
    program = (
        f"import sys; sys.path[:0] = [{str(LIB)!r}, '.']; import mutation; mutation.FAMILIES = {{'shop': 'shop'}}; "
        "mutation.MARKERS, mutation.TIMEOUT = '', 3; sys.argv[1:] = ['shop', '--tests', 'test_shop.py']; "
        "sys.exit(mutation.main())"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, timeout=100, check=False
    )


def test_a_change_that_no_test_notices_is_reported(project: Path) -> None:
    done = tried(project)
    assert "survivor: shop.stock, line 6: 5 → 4" in done.stdout
    assert "shop.price" not in done.stdout
    assert "| shop | 2 | 2 | 2 | 50% |" in done.stdout
    assert done.returncode == 1


def test_all_changes_noticed_passes_the_gate(project: Path) -> None:
    tests = project / "test_shop.py"
    tests.write_text(tests.read_text().replace("shop.stock(2)", "assert shop.stock(2) == 7"))
    done = tried(project)
    assert "| shop | 2 | 2 | 2 | 100% |" in done.stdout
    assert done.returncode == 0


def test_a_change_that_never_ends_is_noticed(project: Path) -> None:
    (project / "shop.py").write_text("def count(n):\n    while n != 0:\n        n -= 1\n    return n\n")
    (project / "test_shop.py").write_text("import shop\n\n\ndef test_count():\n    assert shop.count(2) == 0\n")
    done = tried(project)
    assert "| shop | 1 | 3 | 3 | 100% |" in done.stdout


def test_a_test_that_fails_without_a_mutant_is_no_result(project: Path) -> None:
    (project / "test_shop.py").write_text("def test_price():\n    assert False\n")
    done = tried(project)
    assert "1 tests fail without a mutant" in done.stderr
    assert done.returncode == 2


def test_it_runs_with_the_settings_of_this_project() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(LIB)!r}); import mutation; "
        "sys.argv[1:] = ['rules: initial', '--sample', '1', '--tests', 'tests/analysis/test_finding.py']; "
        "sys.exit(mutation.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, timeout=100, check=False
    )
    assert re.search(r"^\| rules: initial \| \d+ \| \d+ \| 1 \| \d+% \|$", done.stdout, re.MULTILINE), done.stderr
    assert done.returncode in (0, 1)  # these tests are not those that would notice
