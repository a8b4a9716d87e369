"""`labkit build`: the files that it writes, and its messages."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.capture import Frame, open_capture
from labkit.cli import run

SCENARIO = """\
name: elsewhere
summary: A handshake and a close
client: {address: 192.0.2.10, port: 40000..50000, isn: random}
server: {address: 192.0.2.20, port: 80, isn: 0}
steps:
  - client: connect
  - client: close
  - server: close
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in its own folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frames(path: Path | str) -> list[Frame]:
    """All frames of a capture that must be complete."""
    with open_capture(path) as capture:
        found = list(capture)
    assert capture.damage is None
    return found


def test_each_packet_has_a_comment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "document", "-o", "a.pcapng"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "labkit: a.pcapng: 10 packets, seed 0\n"
    found = frames("a.pcapng")
    assert len(found) == 10
    assert all(frame.comments for frame in found)


def test_the_student_edition_has_no_hints() -> None:
    assert run(["build", "document", "-o", "a.pcapng"]) == 0
    assert run(["build", "document", "-o", "b.pcapng", "--edition", "student"]) == 0
    annotated, plain = frames("a.pcapng"), frames("b.pcapng")
    assert [frame.data for frame in plain] == [frame.data for frame in annotated]
    assert [frame.time for frame in plain] == [frame.time for frame in annotated]
    assert not any(frame.comments for frame in plain)
    with open_capture("b.pcapng") as capture:
        list(capture)
    assert (capture.comments, capture.names) == ([], {})


@pytest.mark.parametrize(
    ("args", "name", "format_"),
    [
        (["document"], "document.pcapng", "pcapng"),
        (["document", "--format", "pcap"], "document.pcap", "pcap"),
        (["document", "-o", "x.pcap"], "x.pcap", "pcap"),
        (["document", "-o", "x.bin", "--format", "pcapng"], "x.bin", "pcapng"),
    ],
)
def test_output_name_and_format(args: list[str], name: str, format_: str, here: Path) -> None:
    assert run(["build", *args]) == 0
    assert [path.name for path in here.iterdir()] == [name]
    with open_capture(name) as capture:
        assert capture.format == format_
        assert len(list(capture)) == 10


def test_the_output_is_named_for_the_scenario_file(here: Path) -> None:
    (here / "mine.yaml").write_text(SCENARIO)
    assert run(["build", "mine.yaml"]) == 0
    assert run(["build", "./mine.yaml", "-o", "again.pcapng"]) == 0
    assert run(["build", "mine.yaml", "-o", "other.pcapng", "--seed", "1"]) == 0
    first = (here / "mine.pcapng").read_bytes()
    assert (here / "again.pcapng").read_bytes() == first
    assert [frame.data for frame in frames("other.pcapng")] != [frame.data for frame in frames("mine.pcapng")]


def test_standard_output_gets_the_same_octets(here: Path) -> None:
    assert run(["build", "document", "-o", "a.pcapng"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "build", "document", "-o", "-"],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=True,
    )
    assert done.stdout == (here / "a.pcapng").read_bytes()
    assert done.stderr == b"labkit: standard output: 10 packets, seed 0\n"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["docment"], 2, ["docment", "document"]),
        (["missing.yaml"], 2, ["missing.yaml"]),
        (["broken.yaml"], 2, ["broken.yaml:2", "sumary", "summary"]),
        (["document", "-o", "a.doc"], 2, ["a.doc", ".pcapng"]),
        (["document", "-o", "a.pcap", "--format", "word"], 2, ["word", "pcapng"]),
        (["document", "-o", "nowhere/a.pcap"], 3, ["nowhere/a.pcap"]),
        (["document", "-o", "folder.pcap"], 3, ["folder.pcap"]),
    ],
)
def test_an_error_is_one_line_and_leaves_no_file(
    args: list[str], code: int, words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "broken.yaml").write_text(SCENARIO.replace("summary", "sumary"))
    (here / "folder.pcap").mkdir()
    assert run(["build", *args]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("labkit: ")
    assert [word for word in words if word not in line] == [], line
    assert {path.name for path in here.rglob("*")} == {"broken.yaml", "folder.pcap"}


def test_a_capture_is_not_written_to_a_terminal(here: Path) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "build", "document", "-o", "-"],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=follower,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(follower)
    os.close(leader)
    assert done.returncode == 2
    assert done.stderr == ("labkit: standard output is a terminal; write the capture to a file (-o FILE) or a pipe\n")


def test_a_suffix_of_another_format_gets_a_note(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "document", "--format", "pcap", "-o", "x.pcapng"]) == 0
    assert capsys.readouterr().err == (
        "labkit: x.pcapng: has the format pcap, as --format says, despite its suffix .pcapng\n"
        "labkit: x.pcapng: 10 packets, seed 0\n"
    )
    with open_capture("x.pcapng") as capture:
        assert capture.format == "pcap"


# Hand-written traces.


def test_a_hand_written_trace_is_built(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "hand.pkt").write_text("> S 0:0(0)   # who knocks\n< R. 0:0(0) ack 1\n")
    assert run(["build", "hand.pkt"]) == 0
    assert capsys.readouterr().err == "labkit: hand.pcapng: 2 packets\n"
    assert [frame.comments for frame in frames("hand.pcapng")] == [("who knocks",), ()]
    assert run(["build", "hand.pkt", "--edition", "student", "-o", "b.pcapng"]) == 0
    assert [frame.comments for frame in frames("b.pcapng")] == [(), ()]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seed", "1", "hand.pkt: a hand-written trace has no random numbers and excludes --seed"),
        ("--variants", "r.csv", "hand.pkt: a hand-written trace has no random numbers and excludes --variants"),
        ("--key", "key", "--key needs --variants"),
    ],
)
def test_options_that_a_hand_written_trace_excludes(
    option: str, value: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "hand.pkt").write_text("> S 0:0(0)\n")
    assert run(["build", "hand.pkt", option, value]) == 2
    assert capsys.readouterr().err == f"labkit: {message}\n"


# Faults, and their manifest.


def test_a_fault_in_a_hand_written_trace(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "hand.pkt").write_text("> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n")
    assert run(["build", "hand.pkt", "--fault", "syn-with-fin"]) == 0
    # A hand-written trace has no seed.
    manifest = json.loads((here / "hand.manifest.json").read_text("utf-8"))
    assert list(manifest) == ["capture", "scenario", "faults", "path"]
    assert manifest["faults"][0]["packet"] == 1


def test_the_manifest_can_go_to_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    arguments = ["build", "document", "--fault", "ack-goes-back", "-o", "a.pcapng", "--manifest", "-"]
    assert run(arguments) == 0
    captured = capsysbinary.readouterr()
    assert json.loads(captured.out)["faults"][0]["fault"] == "ack-goes-back"
    assert captured.err == b"labkit: a.pcapng: 10 packets, seed 0\n"


def test_capture_and_manifest_cannot_share_a_target(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target, other, message in (
        ("-", "-", "the capture and the manifest cannot both go to standard output"),
        ("x.pcapng", "./x.pcapng", "--output and --manifest cannot both go to x.pcapng"),
    ):
        arguments = ["build", "document", "--fault", "ack-goes-back", "-o", target, "--manifest", other]
        assert run(arguments) == 2
        assert capsys.readouterr().err == f"labkit: {message}\n"
    assert list(here.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_no_capture_without_its_manifest(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build", "document", "--fault", "ack-goes-back", "-o", "a.pcapng", "--manifest", "/dev/full"]
    assert run(arguments) == 3
    assert capsys.readouterr().err == "labkit: /dev/full: cannot be written: No space left on device\n"
    assert list(here.iterdir()) == []


def test_a_missing_manifest_gets_a_note(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["build", "document", "--fault", "ack-goes-back", "-o", "-"]) == 0
    assert (
        b"labkit: no list of the injected faults is written; '--manifest FILE' writes it\n"
        in capsysbinary.readouterr().err
    )


@pytest.mark.parametrize("faults", ["ack-goes-back@6", "[ack-goes-back@6]", "[wrong-tcp-checksum, ack-goes-back@6]"])
def test_a_scenario_may_hold_its_faults(faults: str, here: Path) -> None:
    sends = SCENARIO.replace("client: close", "client: {send: 9}")
    (here / "mine.yaml").write_text(f"{sends}faults: {faults}\n")
    assert run(["build", "mine.yaml", "--fault", "wrong-ip-checksum@1"]) == 0
    made = json.loads((here / "mine.manifest.json").read_text("utf-8"))["faults"]
    # Those of the scenario first, then those of the command line.
    assert [each["fault"] for each in made][-2:] == ["ack-goes-back", "wrong-ip-checksum"]
    assert [each["packet"] for each in made][-2:] == [6, 1]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("ack-goes-bak", "mine.yaml:9: faults: 'ack-goes-bak' is not a fault; 'labkit build --fault list' lists them"),
        ("[ack-goes-back@0]", "mine.yaml:9: faults[1]: '0' is not a packet number; expected one from 1"),
        ("[ack-goes-back@99]", "mine.yaml:9: faults[1]: ack-goes-back@99: no such packet; the trace has 6"),
        ("[syn-with-fin@3]", "mine.yaml:9: faults[1]: syn-with-fin does not apply to packet 3"),
        ("{a: b}", "mine.yaml:9: faults: "),
    ],
)
def test_unknown_faults_in_a_scenario(
    faults: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.yaml").write_text(SCENARIO + f"faults: {faults}\n")
    assert run(["build", "mine.yaml"]) == 2
    assert capsys.readouterr().err.startswith(f"labkit: {message}")
    assert [path.name for path in here.iterdir()] == ["mine.yaml"]
