"""Hand-outs, feedback and the class's page: accessible, valid, without anything hostile, and on paper."""

import shutil
from pathlib import Path

import pytest
from chromium import CHROMIUM, browser, html_validate, needs_chromium, needs_node_modules

from labkit.cli import run
from labkit.errors import CaptureError, MissingError
from labkit.teach.pdf import Printer

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202eGrade :=>> 10"

PROGRAM = """\
name: own-tcp
title: "A TCP of your own <script>alert(1)</script>"
text: Write it.
hand-in: live-program
program: {side: client}
scenario: document
parts:
  - {part: "<b>Opening</b>", points: 2, expect: {opened: handshake}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pages() -> list[Path]:
    """Hand-outs of four kinds; the feedback and the page of a class with right, wrong and no hand-ins of hostile names."""
    rows = [f"s{number},{HOSTILE}" for number in range(6)]
    Path("class.csv").write_text("\n".join(["id,name", *rows, ""]), "utf-8")
    Path("one.csv").write_text("id\ns0\n", "utf-8")
    Path("own.yaml").write_text(PROGRAM, "utf-8")
    for name in ("loss", "repair", "own.yaml"):
        assert run(["assign", "build", name, "--roster", "one.csv", "-o", "out", "--answers", f"{name}.json"]) == 0
    assert run(["assign", "build", "handshake", "--roster", "class.csv", "-o", "out", "--answers", "key.json"]) == 0
    assert run(["assign", "show", "handshake", "--models", "in", "--answers", "key.json"]) == 0
    Path("in/s4.pcapng").write_bytes(b"%PDF-1.7")
    Path("in/s5.pcapng").unlink()
    Path("in/<b>nobody<b>.pcap").write_bytes(b"")
    grading = ["grade", "handshake", "in", "--answers", "key.json", "-o", "class.html", "--feedback", "feedback"]
    assert run(grading) == 0
    found = [*sorted(Path("out/s0").glob("*.html")), Path("class.html"), *sorted(Path("feedback").glob("*.html"))]
    assert len(found) == 4 + 1 + 7
    return found


@needs_chromium
@needs_node_modules
@pytest.mark.slow
def test_pages_in_a_browser() -> None:
    made = pages()
    assert html_validate(*made) == ""
    with browser() as session:
        for each in made:
            session.open(each)
            assert session.axe() == [], each
            assert session.run("return document.querySelectorAll('img, script, b').length") == 0
            assert session.messages() == []


@needs_chromium
@pytest.mark.slow
def test_a_hand_out_on_paper() -> None:
    """The same answer key gives the same bytes, and they hold nothing of the student or of this machine."""
    Path("class.csv").write_text("id,name\ns4711,Aiko Abe\n", "utf-8")
    build = ["assign", "build", "handshake", "--roster", "class.csv", "--answers", "key.json", "--pdf", "-o"]
    assert run([*build, "a"]) == run([*build, "b"]) == 0
    first, second = (Path(name, "s4711/handshake.pdf").read_bytes() for name in "ab")
    assert first == second
    assert first.startswith(b"%PDF-")
    assert first.rstrip().endswith(b"%%EOF")
    assert not any(word in first for word in (b"4711", b"Aiko", bytes(Path.cwd())))


class TestWithoutABrowser:
    """What is missing or fails is said, and nothing is written."""

    def build(self) -> int:
        Path("class.csv").write_text("id\ns1\n", "utf-8")
        return run(["assign", "build", "handshake", "--roster", "class.csv", "--answers", "key.json", "--pdf"])

    def test_nothing_prints(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(MissingError, match="no program prints PDF"):
            Printer()
        assert self.build() == 4
        assert "apt install chromium" in capsys.readouterr().err
        assert [path.name for path in Path().iterdir()] == ["class.csv"]

    def test_it_fails(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.program("weasyprint", "echo no fonts here >&2; exit 3", monkeypatch)
        with pytest.raises(CaptureError, match="no fonts here"):
            Printer()("<p>")
        assert self.build() == 3
        assert "weasyprint cannot print the page: no fonts here" in capsys.readouterr().err
        assert not Path("key.json").exists()

    def test_weasyprint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program("weasyprint", 'cp "$1" "$2"', monkeypatch)
        assert Printer()("<p>/CreationDate (D:20261129071609+00'00')") == b"<p>/CreationDate (D:20000101000000+00'00')"

    def program(self, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("bin").mkdir()
        Path("bin", name).write_text(f"#!/bin/sh\n{body}\n")
        Path("bin", name).chmod(0o755)
        Path("bin/cp").symlink_to(str(shutil.which("cp")))
        monkeypatch.setenv("PATH", str(Path("bin").resolve()))


def test_the_browser_is_found_first(monkeypatch: pytest.MonkeyPatch) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    assert Path(Printer().program).name == "chromium"
