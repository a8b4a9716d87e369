"""The budget of a capture: memory, size and time; and what fails for one capture alone."""

import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from blocks import Blocks

from labkit.analysis.native import engine
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.capture import create, open_capture
from labkit.capture.budget import STRIDE, Budget, Meter, resident
from labkit.capture.pcapng import MAX_TEXT_OCTETS
from labkit.cli import run
from labkit.cli._common import verdict_code
from labkit.errors import CaptureError, UsageError
from labkit.jobs import judging
from labkit.jobs.inputs import expand
from labkit.jobs.judging import Request, judge, judge_file
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPEN = "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.chdir(tmp_path)


def written(path: Path, format_: str = "pcap", packets: int = 4000) -> Path:
    """Write a capture of one conversation, with many ACKs."""
    octets = list(frames(list(parse(OPEN + "< . 1:1(0) ack 1\n"))))
    with create(path, link=octets[0].link, format=format_) as capture:
        for number in range(packets):
            capture.write(number * 1000, octets[min(number, 3)].data)
    return path


def judged(path: Path, budget: Budget, engine_: str = "interpreted") -> tuple[str, list[str], int]:
    """The outcome, the kinds of limits that the budget set, and the packets that were judged."""
    verdict = judge(Request(ReportConfig(), engine=engine_, budget=budget), str(path))
    return verdict.outcome(), [limit.kind for limit in verdict.limits if limit.kind in judging_kinds()], verdict.packets


def judging_kinds() -> tuple[str, ...]:
    from labkit.analysis.limit_kinds import BUDGETS

    return BUDGETS


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("format_", ["pcap", "pcapng"])
def test_the_size_is_bounded_to_the_octet(tmp_path: Path, format_: str, compress: bool) -> None:
    plain = written(tmp_path / "a.cap", format_).read_bytes()
    path = tmp_path / "b.cap"
    path.write_bytes(gzip.compress(plain) if compress else plain)
    assert judged(path, Budget(octets=len(plain))) == ("pass", [], 4000)
    outcome, limits, packets = judged(path, Budget(octets=len(plain) - 1))
    assert (outcome, limits, packets) == ("unreadable", ["size"], 3999)
    assert judged(path, Budget(octets=len(plain) // 2))[2] in range(1900, 2100)


def test_the_time_is_bounded(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcap")
    assert judged(path, Budget(seconds=600))[1:] == ([], 4000)
    ticks = iter(range(10**6))
    meter = Meter(Budget(seconds=5), clock=lambda: float(next(ticks)))
    with open_capture(path, meter) as capture:
        verdict = engine.verify_capture(capture, engine="interpreted")
    assert verdict.damage is not None
    assert "at most 5 seconds (--max-seconds)" in verdict.damage.message
    assert 0 < verdict.packets < 4000
    assert verdict.packets % STRIDE == 0


def test_the_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.pcap")
    grown = iter(range(0, 10**9, 100_000))
    monkeypatch.setattr("labkit.capture.budget.resident", lambda: next(grown))
    outcome, limits, packets = judged(path, Budget(memory=1_000_000))
    assert (outcome, limits) == ("unreadable", ["memory"])
    assert 0 < packets < 4000


def test_what_is_imported_costs_no_capture_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    uses, now = [0], [0.0]
    monkeypatch.setattr("labkit.capture.budget.resident", lambda: uses[0])
    meter = Meter(Budget(memory=1000, seconds=10), lambda: now[0])
    with meter.paused():
        uses[0], now[0] = 5000, 60
    assert not meter.over()
    with meter.paused():
        uses[0] = 4000  # less than before: what was freed is not charged
    uses[0], now[0] = 5750, 70
    assert not meter.over()
    uses[0] = 5751
    assert meter.over()
    assert meter.spent is not None
    assert meter.spent.kind == "memory"
    later = Meter(Budget(seconds=10), lambda: now[0])
    with later.paused():
        now[0] = 75
    now[0] = 85.5
    assert later.over()


def test_resident_memory_is_that_of_the_process() -> None:
    before = resident()
    held = bytearray(os.urandom(1 << 20) * 64)
    assert 60 << 20 < resident() - before < 200 << 20
    del held


def test_many_conversations_end_at_the_budget(tmp_path: Path) -> None:
    """Each SYN opens a conversation, which the interpreter keeps some thousand octets for."""
    octets = next(iter(frames(list(parse("> S 0:0(0)\n")))))
    syn = bytearray(octets.data)
    with create(tmp_path / "a.pcap", link=octets.link) as capture:
        for number in range(60_000):
            syn[-20:-18] = (number % 60_000 + 1).to_bytes(2, "big")
            capture.write(number, bytes(syn))
    before = resident()
    outcome, limits, packets = judged(tmp_path / "a.pcap", Budget(memory=60_000_000))
    assert (outcome, limits) == ("fail", ["memory"])  # the SYNs have no valid checksum
    assert 1000 < packets < 60_000
    assert resident() - before < 90_000_000


B = Blocks("<")
TEXT = b"\x1b]0;x\x07" * 8000


def interfaces() -> bytes:
    return B.section() + B.interface(1, 0, (2, TEXT), (3, TEXT)) * 2000


def comments() -> bytes:
    return B.section((1, TEXT), (1, TEXT)) * 2000


def names() -> bytes:
    record = b"".join(bytes((10, 0, number >> 8, number & 255)) + TEXT + b"\0" for number in range(1))
    return B.section() + B.block(4, B.options((1, record))) * 3000


@pytest.mark.parametrize("bomb", [interfaces, comments, names])
def test_texts_are_bounded_in_octets(bomb: Callable[[], bytes]) -> None:
    with open_capture(io.BytesIO(gzip.compress(bomb(), 1))) as capture:
        assert list(capture) == []
        kept = (
            [each.name + each.description for each in capture.interfaces]
            + capture.comments
            + list(capture.names.values())
        )
    # printable() writes an escape of four characters for one.
    assert sum(map(len, kept)) <= 4 * MAX_TEXT_OCTETS
    assert capture.damage is None


def test_empty_gzip_members_cost_little() -> None:
    """Work that grows with the square of their number would meet the timeout of the test."""
    empty = gzip.compress(b"", mtime=0)
    good = io.BytesIO()
    with create(good, link=1) as capture:
        capture.write(0, b"x" * 60)
    for data in (
        empty * 250_000 + gzip.compress(good.getvalue()),
        gzip.compress(good.getvalue()) + empty * 250_000 + bytes(9),
    ):
        with open_capture(io.BytesIO(data)) as reader:
            assert len(list(reader)) == 1
        assert reader.damage is None
    with pytest.raises(CaptureError, match="is empty"):
        open_capture(io.BytesIO(empty * 1000))


FAILING = """
from labkit.analysis.rule import Severity, rule


@rule(
    "ZZ01", Severity.NOTE, "RFC 9293 3.1", "never", field="win", expected=None, actual="seg.win",
    should_be="-", receiver="-", mend="-", good="> S 0:0(0)", bad="> S 0:0(0)",
)
def fails(seg, me, peer):
    if seg.win * 2 == 108644:
        raise MemoryError
    return False
"""


@pytest.mark.parametrize("jobs", [[], ["--jobs", "2"]])
def test_one_failure_costs_one_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: list[str]) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    for number, name in enumerate("abcd", 54321):
        octets = list(frames(list(parse(OPEN.replace("ack 1\n", f"ack 1 win {number}\n")))))
        with create(f"{name}.pcap", link=1) as capture:
            for frame in octets:
                capture.write(frame.time, frame.data)
    assert run(["verify", *jobs, "--rules", "failing.py", "--format", "json", "."]) == 3
    out, err = capsys.readouterr()
    found = json.loads(out)["captures"]
    assert [each["verdict"] for each in found] == ["pass", "unreadable", "pass", "pass"]
    assert "b.pcap: was not judged: there is too little memory" in err


def test_a_mistake_of_labkit_costs_one_verdict() -> None:
    def fail(_path: str) -> Verdict:
        raise ZeroDivisionError("a\x1b[2Jb\nc")

    verdict = judge_file(fail, "x", "a\x1b.pcap")
    assert verdict.error is not None
    assert verdict.error.startswith("a\\x1b.pcap: was not judged: internal error: ZeroDivisionError: a\\x1b[2Jb c (")
    assert (verdict.crashed, verdict_code(verdict, Severity.ERROR)) == (True, 70)


def test_what_every_capture_would_meet_ends_the_run() -> None:
    def refuse(_path: str) -> Iterator[None]:
        raise UsageError("no")

    with pytest.raises(UsageError):
        judge_file(refuse, "a", "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "0", "-1", "5 parsecs", "1e9", "9" * 40, "\x1b[2J"])
def test_a_size_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), packets=4)
    assert run(["verify", "--max-bytes", text, "a.pcap"]) == 2
    err = capsys.readouterr().err
    assert "is not a size; expected one such as 512MB" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(("words", "kinds"), [(["--max-bytes", "10kB"], {"size"}), (["--max-seconds", "1e-9"], set())])
def test_the_options(words: list[str], kinds: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"))
    assert run(["verify", "--format", "json", *words, "a.pcap"]) == 3
    out, err = capsys.readouterr()
    found = json.loads(out)["captures"][0]
    assert found["verdict"] == "unreadable"
    # Without a packet there is nothing that the capture does not show.
    assert kinds <= {limit["kind"] for limit in found["limits"]}
    assert words[0] in err


def test_links_out_of_a_folder_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "hand-in"
    folder.mkdir()
    secret = written(tmp_path / "secret.pcap", packets=4)
    inside = written(folder / "a.pcap", packets=4)
    (folder / "b.pcap").symlink_to(secret)
    (folder / "c.pcap").symlink_to(inside)
    (folder / "d.pcap").symlink_to("/dev/zero")
    (folder / "e.txt").symlink_to("/etc/passwd")
    os.mkfifo(folder / "f.pcap")
    os.mkfifo(folder / "g")
    found = expand([str(folder)])
    said = {Path(each.path).name: each.error.partition(": ")[2] for each in found.captures}
    out, strange = "is not read: it is a symbolic link out of the folder", "is not read: it is not a regular file"
    assert said == {"a.pcap": "", "b.pcap": out, "c.pcap": "", "d.pcap": out, "f.pcap": strange}
    assert sorted(Path(each).name for each in found.skipped) == ["e.txt", "g"]


def test_the_budget_goes_to_other_processes() -> None:
    assert replace(Request(ReportConfig()), budget=Budget(octets=5)).budget.octets == 5
    assert judging.Request(ReportConfig()).budget == Budget()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "a.pcap"], "shown up to there"),
        (["draw", "a.pcap", "-o", "a.svg"], "drawn up to there"),
        (["repair", "a.pcap", "-o", "b.pcap"], "repaired up to there"),
        (["diff", "a.pcap", "a.pcap"], "compared up to there"),
    ],
)
@pytest.mark.parametrize("budget", [["--max-bytes", "20kB"], ["--max-seconds", "1e-4"], ["--memory", "1kB"]])
def test_other_commands_say_where_they_stopped(
    words: list[str],
    said: str,
    budget: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if budget[0] == "--memory":
        grown = count(0, 10)
        monkeypatch.setattr("labkit.capture.budget.resident", lambda: next(grown))
    written(Path("a.pcap"), packets=20_000)
    found = run([*words, *budget])
    out, err = capsys.readouterr()
    if found == 3 and not out and "up to there" not in err:  # nothing at all could be read
        assert budget[0] in err
        return
    assert (found, said in err) == (3, True), err
    assert budget[0] in err


def test_a_bound_ends_the_frames_of_each_reader(tmp_path: Path) -> None:
    for format_ in ("pcap", "pcapng"):
        path = written(tmp_path / f"a.{format_}", format_)
        with open_capture(path, Meter(Budget(octets=50_000))) as capture:
            count = len(list(capture))
        assert 0 < count < 4000
        assert capture.damage is not None
        assert (capture.damage.kind, capture.damage.cut) == ("size", False)
