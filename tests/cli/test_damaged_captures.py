"""Every command says where a capture breaks off: cut short it counts up to there, and garbage has exit code 3."""

from pathlib import Path

import pytest

from labkit.build.scenario import Scenario
from labkit.cli import run
from labkit.report.draw import CONVERTED, formats, names

HEADER, RECORD = 24, 16

CUT = "the capture ends in the middle of packet"
GARBAGE = "cannot be read: its record claims 4294967295 bytes"

STATES = [("states", "svg"), ("states", "html")]
"""The diagram of all states is worth looking at without a conversation."""

READING = [
    "show {}",
    "show {} --format json",
    "show {} --format html",
    "draw {}",
    "draw {} --what states",
    "draw {} --what time-sequence",
    "draw {} --what time-sequence --format html",
    "draw {} --format svg -o picture.svg",
    "draw whole.pcap {}",
    "draw {} whole.pcap",
    "explain stack {}",
    "quiz {}",
    "quiz {} -o quiz.xml",
    "repair {} -o repaired.pcap",
    "verify {} -o verdict.txt",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    damage("document", "", 9)


def damage(scenario: str, prefix: str, packet: int) -> None:
    """A whole capture, one that is cut in a packet, and one in which the length of that packet is garbage."""
    Scenario.load(scenario).play().write(f"{prefix}whole.pcap")
    octets = Path(f"{prefix}whole.pcap").read_bytes()
    at = HEADER
    for _ in range(packet - 1):
        at += RECORD + int.from_bytes(octets[at + 8 : at + 12], "little")
    Path(f"{prefix}cut.pcap").write_bytes(octets[: at + RECORD + 20])
    Path(f"{prefix}garbage.pcap").write_bytes(octets[: at + 8] + b"\xff" * 4 + octets[at + 12 :])


@pytest.mark.parametrize("line", READING)
def test_garbage_has_exit_code_3_and_a_cut_capture_0(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, code, message in (("whole", 0, ""), ("cut", 0, CUT), ("garbage", 3, GARBAGE)):
        assert run(line.format(f"{name}.pcap").split()) == code, name
        out, error = capsys.readouterr()
        said = out + error + (Path("verdict.txt").read_text() if line.startswith("verify") else "")
        assert (CUT in said, GARBAGE in said) == (message == CUT, message == GARBAGE), name


@pytest.mark.parametrize(
    "line",
    [
        "show {} --flow 9",
        "show {} --format html --flow 9",
        "draw {} --flow 9",
        "draw {} --packets 40-50",
        "explain osi {} 9",
    ],
)
def test_what_is_not_found_may_be_in_the_rest(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, code, message in (("cut", 2, CUT), ("garbage", 3, GARBAGE)):
        assert run(line.format(f"{name}.pcap").split()) == code, name
        out, error = capsys.readouterr()
        assert (out, error.count("\n")) == ("", 1)
        assert message in error


@pytest.mark.parametrize(
    "line",
    [
        *("explain stack {}", "explain osi {}", "quiz {}", "draw {}", "show {}", "show {} --format html"),
        *("draw {} --what layers", "draw {} --what header", "draw {} --what rtt --format svg -o rtt.svg"),
    ],
)
def test_no_packet_is_sound(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    damage("document", "first-", 1)
    assert run(line.format("first-garbage.pcap").split()) == 3
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 + ("rtt.svg" in line)
    assert f"packet 1 at byte 24 {GARBAGE}" in error[-1]


def test_a_packet_before_the_damage_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "osi", "garbage.pcap", "4"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("format_", ["xpl", "html", "svg"])
def test_a_curve_says_what_damage_its_second_reading_meets(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    """To find the conversation of a curve, the first packets are enough."""
    Path("long.yaml").write_text("name: long\nsummary: Long\nsteps: [{client: connect}, {client: {send: 1500000}}]\n")
    damage("long.yaml", "long-", 900)
    for name, code, message in (("cut", 0, CUT), ("garbage", 3, GARBAGE)):
        assert run(["draw", f"long-{name}.pcap", "--what", "time-sequence", "--format", format_]) == code, name
        error = capsys.readouterr().err
        assert (error.count(message), error.count("drawn up to there")) == (1, 1)


def test_a_bound_that_is_reached_has_the_code_of_verify() -> None:
    for command in ("verify", "show", "draw", "quiz"):
        assert run([command, "whole.pcap", "--max-bytes", "700"]) == 3, command


@pytest.mark.parametrize(
    "line",
    [
        *("show {}", "show {} --format html", "draw {}", "draw {} -o picture.svg", "draw {} --what rtt -o rtt.html"),
        "draw {} --what states",
    ],
)
def test_an_empty_picture_has_a_reason(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.pcap").write_bytes(Path("whole.pcap").read_bytes()[:HEADER])
    assert run(line.replace("{}", "empty.pcap").split()) == 0
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "labkit: empty.pcap: there is no TCP segment in it that labkit can read"
    )


@pytest.mark.parametrize("what", names())
def test_every_picture_of_an_empty_capture_is_drawn_or_refused(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.pcap").write_bytes(Path("whole.pcap").read_bytes()[:HEADER])
    for format_ in sorted(set(formats(what)) - set(CONVERTED)):
        code = run(["draw", "empty.pcap", "--what", what, "--format", format_])
        out, error = capsys.readouterr()
        assert code == (2 if what in ("header", "layers") else 0), format_
        assert bool(out) <= (code == 0)
        assert error.startswith("labkit: empty.pcap: there is no TCP segment ")
        if format_ in ("svg", "html", "terminal") and code == 0 and (what, format_) not in STATES:
            assert "there is no TCP segment to draw" in out, format_


@pytest.mark.parametrize("what", ["in-flight", "rtt", "throughput"])
def test_a_curve_without_values_says_so(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("reset.pkt").write_text("> R 7:7(0) win 0\n")
    assert run(["build", "reset.pkt", "-o", "reset.pcap"]) == 0
    assert run(["draw", "reset.pcap", "--what", what]) == 0
    assert "nothing to draw: no segment of the conversation has what this picture shows" in capsys.readouterr().out


def test_two_captures_without_a_common_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.pcap").write_bytes(Path("whole.pcap").read_bytes()[:HEADER])
    Scenario.load("http").play().write("http.pcap")
    for one, other, said in (
        ("whole.pcap", "empty.pcap", True),
        ("http.pcap", "whole.pcap", True),
        ("empty.pcap", "empty.pcap", True),
        ("whole.pcap", "whole.pcap", False),
    ):
        assert run(["draw", one, other]) == 0
        line = f"labkit: {one} and {other}: no conversation that is drawn is in both\n"
        assert capsys.readouterr().err == line * said
