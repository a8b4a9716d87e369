"""Each addition of CONTRIBUTING.md takes one file.

A copy of the project gets a rule with a limit of its own, a scenario, a report format, a link type, a tunnel and a command; then
the tests that list such things run in the copy.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]

RULE = "labkit/analysis/rules/example.py"
SCENARIO = "labkit/build/scenarios/example.yaml"
FORMAT = "labkit/report/formats/example.py"
LINK = "labkit/packet/decode/link.py"
TUNNEL = "labkit/packet/decode/tunnel.py"
COMMAND = "labkit/cli/example.py"

ADDED = {
    RULE: "",  # the example of CONTRIBUTING.md, with a new limit
    SCENARIO: """name: example
summary: An example
look: [Three segments open the connection.]
wireshark: []
steps:
  - client: connect
""",
    FORMAT: '''"""The number of findings of each capture."""

from collections.abc import Iterable, Iterator

from labkit.analysis.verdict import Verdict
from labkit.i18n import printable
from labkit.report.formats import ReportOptions


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:  # noqa: ARG001
    """Yield a line for each capture."""
    for verdict in verdicts:
        yield f"{len(verdict.findings)} in {printable(verdict.path)}"
''',
    LINK: '''

@link_type(EXAMPLE=147)
def example(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """Two octets before IPv4.

    Example: 00 01 before IPv4.
    """
    return IPV4, at + 2, stop
''',
    TUNNEL: '''

@udp_port(64999)
def example(_buf: bytes, at: int, _end: int, stop: int) -> Step:
    """Four octets before IPv4."""
    return IPV4, at + 4, stop
''',
    COMMAND: '''"""`labkit example`: count the packets of a capture."""

import click

from labkit.capture import open_capture
from labkit.cli._common import Command, Exit, echo, option
from labkit.i18n import N_


@click.command(
    "example",
    cls=Command,
    section="verify",
    examples=("labkit example http.pcapng", "labkit example --double http.pcapng"),
)
@click.argument("file", type=click.Path())
@option("--double", is_flag=True, help=N_("Count each packet twice."))
def command(file: str, double: bool) -> int:
    """Count the packets of a capture."""
    with open_capture(file) as capture:
        echo(str(sum(1 + double for _frame in capture)))
    return Exit.OK
''',
}
"""Each new file, or the function at the end of a file."""

WORKS = {
    RULE: """
from labkit.analysis.catalogue import collect
rule = next(each for each in collect() if each.code == "EX02")
verdict = Verifier().run(frames(list(parse(rule.bad))))
assert [each.code for each in verdict.findings if each.code == "EX02"] == ["EX02"]
assert [each.kind for each in verdict.limits if each.code == "EX02"] == ["tiny-mss"]
assert [each.message for each in verdict.limits] == ["1 SYN has a tiny MSS (packet 1): it may be lost"]
from dataclasses import replace
from labkit.analysis.limits import words
assert replace(verdict, strict=words(collect())).failing_limits() == verdict.limits
""",
    SCENARIO: """
from labkit.build.scenario import Scenario, shipped
assert "example" in shipped()
assert len(Scenario.load("example").play(seed=1)) == 3
""",
    FORMAT: """
from labkit.cli import run
assert run(["build", "handshake", "-o", "handshake.pcap"]) == 0
assert run(["verify", "--format", "example", "handshake.pcap"]) == 0
""",
    LINK: """
from labkit.packet.linktype import title
assert title(147) == "147 (EXAMPLE)"
assert segments(147, lambda octets: bytes(2) + octets[14:]) == 3
""",
    TUNNEL: """
from scapy.layers.inet import IP, UDP
assert segments(101, lambda octets: bytes(IP() / UDP(dport=64999) / (bytes(4) + octets[14:]))) == 3
""",
    COMMAND: """
from labkit.cli import run
assert run(["build", "handshake", "-o", "handshake.pcap"]) == 0
assert run(["example", "--double", "handshake.pcap"]) == 0
""",
}
"""By file: a program that uses the addition."""

COMMON = """
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

def segments(link, wrap):
    found = frames(list(parse("> S 0:0(0)\\n< S. 0:0(0) ack 1\\n> . 1:1(0) ack 1")))
    wrapped = [each._replace(link=link, data=wrap(each.data), wirelen=len(wrap(each.data))) for each in found]
    return Verifier().run(wrapped).segments
"""

LISTS = (
    "tests/test_layers.py::test_imports_point_downward",
    "tests/test_layers.py::test_only_the_command_line_prints_or_exits",
    "tests/test_documentation.py",
    "tests/test_i18n.py",
    "tests/analysis/test_limits.py",
    "tests/analysis/test_rules.py",
    "tests/analysis/test_unread.py",
    "tests/build/test_faults.py::test_each_rule_has_a_fault_or_a_reason_why_not",
    "tests/cli/test_scenarios_command.py",
    "tests/cli/test_rules_command.py",
    "tests/cli/test_terminal.py",
    "tests/cli/test_verify_many.py",
    "tests/packet/test_decode.py",
    "tests/packet/test_decode_layers.py",
    "tests/report/test_machine_reports.py",
)
"""The tests that go through all rules, scenarios, formats or layers."""

GENERATED = {
    "test_each_rule_has_a_fault_or_a_reason_why_not",
    "test_every_rule_is_in_the_catalogue",
    "test_keys_and_codes_stay",
    "test_readme_has_every_command",
    "test_the_catalogue_is_current",
}
"""The tests that compare what is generated: `scripts/docs` writes docs/rules.md and docs/faults.md, and adds to the README;
`scripts/translate` asks for the Chinese."""


LIMIT = """LimitKind(
        "tiny-mss",
        "{n:,} SYN has a tiny MSS (packet {packet})",
        "{n:,} SYNs have a tiny MSS (the first is packet {packet})",
        "it may be lost",
    )"""


def example_rule() -> str:
    """The rule that CONTRIBUTING.md shows, with a kind of limit that it declares."""
    found = re.search(r"```python\n(.*?)```", (TOP / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    assert found
    text = found[1].replace("    no_fault=", f"    limit={LIMIT},\n    no_fault=")
    text = text.replace("EX01", "EX02").replace("mss_too_small", "mss_is_tiny")
    assert LIMIT in text
    return f'"""An example of a rule."""\n\nfrom labkit.analysis.limit_kinds import LimitKind\n{text}'


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with all the additions."""
    top = tmp_path_factory.mktemp("project")
    for name in ("labkit", "tests", "scripts", "docs", "pcaps"):
        shutil.copytree(TOP / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in TOP.iterdir():
        if file.is_file():
            shutil.copy(file, top)
    for name, text in ADDED.items():
        path = top / name
        before = path.read_text("utf-8") if path.exists() else ""
        path.write_text(before + (text or example_rule()), "utf-8")
    return top


def run(top: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(top), "LANGUAGE": "en"}
    environment.pop("LABKIT_CAPTURES", None)
    return subprocess.run(
        [sys.executable, *words], cwd=top, env=environment, capture_output=True, text=True, timeout=500, check=False
    )


@pytest.mark.parametrize("name", WORKS)
def test_an_addition_works(name: str, copy: Path) -> None:
    done = run(copy, "-c", COMMON + WORKS[name])
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(600)
def test_only_generated_pages_must_be_written_anew(copy: Path) -> None:
    done = run(
        copy,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        "-k",
        "not test_what_it_shows_is_so",
        *LISTS,
    )
    failed = {
        re.sub(r"\[.*", "", each) for each in re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    }
    assert " passed" in done.stdout
    assert failed <= GENERATED
    assert "test_the_catalogue_is_current" in failed, "the copy has no new rule"


def test_ruff_and_mypy_accept_them(copy: Path) -> None:
    assert run(copy, "-m", "ruff", "check", *ADDED.keys() - {SCENARIO}).returncode == 0
    done = run(copy, "-m", "mypy", "--cache-dir=/dev/null", "-p", "labkit.analysis.rules", "-p", "labkit.packet.decode")
    assert done.returncode == 0, done.stdout
