"""Nothing raw reaches a terminal: foreign texts, in every place of every input, through every command and format."""

import ast
import os
import re
import shutil
from pathlib import Path

import pytest
from blocks import Blocks

from labkit.cli import run
from labkit.cli._common import OWN, echo
from labkit.report import draw as pictures
from labkit.report.formats import names
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

TOP = Path(__file__).parents[2]

EVIL = "\x1b[8mhidden\x1b]0;title\x07 \x9b31m \u202egnp.exe\u2066 \x85\u2028 \x7f\r\nFORGED: PASS\n"
"""Escape sequences, C1 controls, bidirectional overrides, and a line of its own."""

FILE = "\x1b[8mhidden\x9b \u202e\r\nFORGED"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


def check(capsys: pytest.CaptureFixture[str]) -> str:
    """Both outputs hold nothing that controls a terminal, and no forged line; return them."""
    out, err = capsys.readouterr()
    whole = out.removeprefix("\ufeff") + err  # the byte order mark of the report for Excel
    rest = re.sub(OWN, "", whole)
    strange = sorted({hex(ord(each)) for each in rest if not each.isprintable() and each != "\r"})
    assert strange == []
    assert "\r" not in rest.replace("\r\x1b[K", "")
    assert "\x1b[8m" not in whole
    assert not re.search("^FORGED", whole, re.MULTILINE)
    return whole


def capture(path: str, interfaces: int = 2, rest: bytes = b"short") -> None:
    """Write a capture with such a text in each place that has one. What follows its packets damages it."""
    b, text = Blocks("<"), EVIL.encode()
    packets = list(frames(list(parse("> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 9\n< . 5:5(0) ack 1\n"))))
    record = bytes((192, 0, 2, 10)) + text + b"\0"
    octets = (
        b.section((1, text), (2, text), (3, text), (4, text))
        + b.interface(1, 0, (2, text), (3, text), (1, text)) * interfaces
    )
    octets += b.block(4, b.options((1, record), (1, bytes((192, 0, 2, 20)) + text + b"\0")))
    for number, frame in enumerate(packets):
        octets += b.enhanced(frame.data, frame.time, number // 2 % interfaces, options=((1, text),))
    Path(path).write_bytes(octets + (b.block(6, rest) if rest else b""))


@pytest.mark.parametrize("color", ["never", "always"])
def test_a_capture(capsys: pytest.CaptureFixture[str], color: str) -> None:
    capture(FILE + ".pcapng")
    words = [["verify", "--format", each] for each in names()] + [["verify", "-v"], ["verify", "--quiet"]]
    words += [["show", "--format", each] for each in ("text", "json", "jsonl", "notation")]
    words += [
        ["show", "--profile", "document"],
        ["show", "--host", EVIL],
        ["verify", "--host", EVIL],
        ["verify", "--annotate", FILE],
    ]
    words += [
        ["verify", "--annotate", f"{FILE}2.pcapng"],
        ["build"],
        ["watch"],
        ["trust"],
        ["verify", "--config"],
        ["verify", "--rules"],
    ]
    for each in words:
        run(["--color", color, *each, FILE + ".pcapng"])
        said = check(capsys)
        assert "hidden" in said or each[0] in ("watch", "show") or "--config" in each or "--rules" in each
    run(["--color", color, "verify", "."])
    assert "hidden" in check(capsys)


def test_every_command_that_reads_a_capture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", FILE)
    own, other = FILE + ".pcapng", str(TOP / "pcaps" / "document.pcapng")
    capture(own, interfaces=1, rest=b"")
    words = [["quiz", own, "--format", each] for each in ("md", "moodle", "gift", "csv", "json")]
    words += [["quiz", own, "-o", FILE + ".md", "--capture", FILE + "c.pcapng"], ["quiz", own, "--kinds", EVIL]]
    words += [["diff", own, own], ["diff", own, other, "--format", "json"], ["diff", own, other, "--annotate", FILE]]
    words += [["repair", own, "-o", FILE + "r.pcapng"], ["repair", own, "-o", own], ["wrap", own, "-o", FILE]]
    for name in pictures.names():
        texts = set(pictures.formats(name)) - set(pictures.CONVERTED)
        words += [["draw", own, "--what", name, "--format", each, "-o", "-"] for each in sorted(texts)]
    words += [["draw", own, "--what", EVIL], ["draw", own, "--format", EVIL], ["draw", own, EVIL]]
    words += [["explain", each, own] for each in ("stack", "osi", "states", EVIL)]
    words += [["wireshark", each] for each in ("status", "install", "uninstall", EVIL)]
    words += [["check-live", EVIL, own], ["grade", EVIL, own], ["assign", "show", EVIL], ["grade", "handshake", FILE]]
    for each in words:
        run(["--color", "always", *each])
        check(capsys)


def test_an_assignment(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    evil = json.dumps(EVIL)
    text = f"name: a\ntitle: {evil}\nsummary: {evil}\ntext: {evil}\nhand-in: capture\nscenario: document\n"
    text += f"parts:\n  - {{part: {evil}, points: 2, expect: {{close-segments: 4}}}}\n"
    capture(FILE + ".pcapng", interfaces=1, rest=b"")
    for more in ("", f"{evil}: 3\n", f"draw: {{p: {evil}}}\n", EVIL):
        Path(FILE + ".yaml").write_text(text + more)
        for words in (["assign", "show", FILE + ".yaml"], ["check-live", FILE + ".yaml", FILE]):
            run(words)
            check(capsys)
    Path(FILE + ".yaml").write_text(text)
    Path(FILE + ".csv").write_text(f"id,name\n{evil},{evil}\n")
    for words in (
        ["grade", FILE + ".yaml", FILE + ".pcapng"],
        ["grade", FILE + ".yaml", FILE + ".pcapng", "--format", "json"],
        ["assign", "build", FILE + ".yaml", "--roster", FILE + ".csv", "-o", FILE],
    ):
        run(words)
        check(capsys)


SCENARIO = """
name: {evil}
summary: {evil}
client: {{address: 192.0.2.10, name: {evil}, port: 1000}}
server: {{address: 192.0.2.20, name: {evil}, port: 80}}
steps:
  - client: connect
  - client: {{send: 9, note: {evil}}}
  - {{client: close}}
{more}
"""


@pytest.mark.parametrize(
    "more", ["", "  - {evil}: 3", "  - client: {evil}", "{evil}: 1", "seed: {evil}", "&{evil} : x"]
)
def test_a_scenario(capsys: pytest.CaptureFixture[str], more: str) -> None:
    import json

    evil = json.dumps(EVIL)
    Path(FILE + ".yaml").write_text(SCENARIO.format(evil=evil, more=more.format(evil=evil)))
    Path("raw.yaml").write_text(SCENARIO.format(evil="x", more=EVIL))
    for name in (FILE + ".yaml", "raw.yaml"):
        for words in (["build"], ["build", "-o", FILE + ".pcapng"], ["scenarios"], ["play", "--both", "--no-path"]):
            run([*words, name])
            check(capsys)


@pytest.mark.parametrize(
    "command",
    ["build", "explain", "rules", "show", "verify", "scenarios", "lab", "play", "trust", "relay", "watch", "x"],
)
def test_an_argument(capsys: pytest.CaptureFixture[str], command: str) -> None:
    for words in (
        [EVIL],
        [f"--{EVIL}"],
        [f"--format={EVIL}", "x"],
        ["--seed", EVIL, "x"],
        ["--lab", EVIL, "x"],
        ["--name", EVIL],
    ):
        run([command.replace("x", EVIL), *words])
        check(capsys)


@pytest.mark.parametrize(
    "content", [EVIL.encode(), b"\x80\x9b\xff\x1b[2J" * 9, b"\x1f\x8b" + EVIL.encode(), EVIL.encode("utf-16")]
)
def test_a_file_that_is_something_else(capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    for suffix in (".pcap", ".pkt", ".yaml", ".toml", ".csv", ".json", ".py"):
        Path(FILE + suffix).write_bytes(content)
    for words in (
        ["verify", FILE + ".pcap"],
        ["show", FILE + ".pcap"],
        ["build", FILE + ".pkt"],
        ["build", FILE + ".yaml"],
        ["build", "document", "--variants", FILE + ".csv"],
        ["verify", "--config", FILE + ".toml", FILE + ".pcap"],
        ["verify", "--rules", FILE + ".py", FILE + ".pcap"],
        ["verify", "--baseline", FILE + ".json", FILE + ".pcap"],
        ["trust", FILE + ".toml"],
        ["trust", "--list"],
    ):
        run(words)
        check(capsys)


def test_a_file_that_is_no_capture_is_not_quoted_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.pcap").write_bytes(b"root:x:0:0:secret-secret-secret\n")
    assert run(["verify", "a.pcap"]) == 3
    assert "secret-secret" not in check(capsys)


def test_keys_of_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    shutil.copy(TOP / "pcaps" / "document.pcapng", "a.pcapng")
    evil = json.dumps(EVIL).replace("\\u007f", "\x7f").replace("\x7f", "")
    for text in (
        f"{evil} = 1",
        f"select = [{evil}]",
        f"profile = {evil}",
        f"[severity]\n{evil} = {evil}",
        f"rules = [{evil}]",
    ):
        Path("labkit.toml").write_text(text)
        run(["verify", "--config", "labkit.toml", "a.pcapng"])
        check(capsys)


def test_long_texts_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("name: x\n" + "k" * 500_000 + ": 3\n")
    run(["build", "a.yaml"])
    assert len(check(capsys)) < 2000


def test_echo_escapes_whatever_is_not_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\x1b[1mb\x1b[0m\tc\x1b[2J\x9b\u202e\U000e0041\udc80\n")
    assert capsys.readouterr().out == "ab\tc\\u001b[2J\\u009b\\u202e\\udb40\\udc41\\udc80\n\n"


def test_one_function_writes_text() -> None:
    """All commands print with `echo`, and the progress line with its own escape sequences."""
    found = set()
    for file in (TOP / "labkit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "click.echo",
                "click.secho",
                "print",
                "sys.stdout.write",
            ):
                found.add(os.path.relpath(file, TOP / "labkit"))
    assert found == {"cli/_common.py", "cli/_progress.py"}
