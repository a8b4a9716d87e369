"""`labkit show`: the table of a capture, and the formats for programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.analysis.states import observe
from labkit.build.scenario import Scenario
from labkit.capture import create, open_capture
from labkit.cli import run
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ROOT = Path(__file__).parents[2]

DOCUMENT = """\
192.0.2.10:40000 ↔ 192.0.2.20:80
  no.        time  client        segment                           server
                   CLOSED                                          LISTEN
    1    0.000000  SYN_SEND      → SYN      seq=0 win=65535                      <mss 1460, sackOK>
    2    0.020000                ← SYN ACK  seq=0 ack=1 win=65535  SYN_RCVD      <mss 1460, sackOK>
    3    0.020000  ESTABLISHED   → ACK      seq=1 ack=1            ESTABLISHED
    4    0.020000                → PSH ACK  seq=1 ack=1 len=99
    5    0.040000                ← PSH ACK  seq=1 ack=100 len=119
    6    0.080000                → ACK      seq=100 ack=120
    7    0.090000  FIN_WAIT_1    → FIN ACK  seq=100 ack=120
    8    0.110000  FIN_WAIT_2    ← ACK      seq=120 ack=101        CLOSE_WAIT
    9    0.115000                ← FIN ACK  seq=120 ack=101        LAST_ACK
   10    0.115000  TIME_WAIT     → ACK      seq=101 ack=121        CLOSED
"""

TWO = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n> R. 1:1(0) ack 1\n> S 500:500(0)\n< R. 0:0(0) ack 501\n"

THREE = "".join(
    f"# 192.0.2.10:{port} > 192.0.2.20:80\n> S 0:0(0)\n< S. 0:0(0) ack 1\n" for port in (40001, 40002, 40003)
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in its own folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scenario(name: str, path: str = "a.pcap", edition: str = "annotated") -> None:
    Scenario.load(name).play().write(path, edition=edition)


def notation(text: str, path: str = "a.pcap") -> None:
    with create(path, link=1) as writer:
        for frame in frames(list(parse(text))):
            writer.write(frame.time, frame.data)


def shown(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["show", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_the_table_of_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    assert shown("--profile", "document", "a.pcap", capsys=capsys) == DOCUMENT


def test_the_states_of_the_rfc(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    lines = shown("a.pcap", capsys=capsys).splitlines()
    assert lines[2].split() == ["CLOSED", "LISTEN"]
    assert lines[3].split()[2] == "SYN-SENT"
    assert "SYN-RECEIVED" in lines[3]
    assert lines[-1].split()[2] == "TIME-WAIT"
    assert lines[-1].endswith("CLOSED")
    assert not any(word in "\n".join(lines) for word in ("SYN_", "FIN_", "TIME_"))


def test_names_from_the_capture(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document", "a.pcapng")
    assert shown("a.pcapng", capsys=capsys).startswith("client 192.0.2.10:40000 ↔ server 192.0.2.20:80\n")
    scenario("document", "b.pcapng", "student")
    assert shown("b.pcapng", capsys=capsys).startswith("192.0.2.10:40000 ↔ 192.0.2.20:80\n")


def test_ipv6_ends_stand_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document-ipv6")
    assert shown("a.pcap", capsys=capsys).startswith("[2001:db8::10]:40000 ↔ [2001:db8::20]:80\n")


@pytest.mark.parametrize("profile", ["rfc9293", "document"])
@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("> S 0:0(0)\n< S. 0:0(0) ack 1\n", ["CLOSED", "LISTEN"]),
        # Nobody is known to listen where the SYN is refused, not answered, or crossed by another.
        ("> S 0:0(0)\n< R. 0:0(0) ack 1\n", ["CLOSED"]),
        ("> S 0:0(0)\n", ["CLOSED"]),
        ("> S 0:0(0)\n< S 0:0(0)\n> S. 0:0(0) ack 1\n", ["CLOSED"]),
    ],
)
def test_the_states_before_the_first_segment(
    text: str, before: list[str], profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    notation(text)
    assert shown("--profile", profile, "a.pcap", capsys=capsys).splitlines()[2].split() == before


def test_a_capture_from_the_middle_has_no_states_before(capsys: pytest.CaptureFixture[str]) -> None:
    notation("> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n")
    lines = shown("a.pcap", capsys=capsys).splitlines()
    assert len(lines) == 4
    assert lines[2].split()[:2] == ["1", "0.000000"]


def test_raw_and_relative_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("seq-wraparound")
    lines = shown("a.pcap", capsys=capsys).splitlines()
    assert all("raw seq " in line for line in lines[3:])
    assert lines[3].split("seq=")[1].startswith("0 ")


def test_windows(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    assert shown("a.pcap", capsys=capsys).count("win=") == 2
    assert shown("--window", "a.pcap", capsys=capsys).count("win=") == 10


def test_numbers_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Three control bits make their column wider."""
    notation("> S 0:0(0)\n< S. 0:0(0) ack 1\n> P. 1:9(8) ack 1\n> FP. 9:12(3) ack 1\n< F. 1:1(0) ack 13\n")
    lines = [line for line in shown("a.pcap", capsys=capsys).splitlines() if "seq=" in line]
    assert "→ FIN PSH ACK  seq=9" in lines[3]
    assert len({line.index("seq=") for line in lines}) == 1


# More conversations than one.


def test_conversations_have_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    notation(TWO)
    lines = shown("a.pcap", capsys=capsys).splitlines()
    assert [line for line in lines if line.startswith("conversation ")] == [
        "conversation 0: 192.0.2.10:40000 ↔ 192.0.2.20:80",
        "conversation 1: 192.0.2.10:40000 ↔ 192.0.2.20:80",
    ]
    assert [line.split()[0] for line in lines if " seq=" in line] == ["0"] * 4 + ["1"] * 2


@pytest.mark.parametrize(("flow", "packets"), [("0", ["1", "2", "3", "4"]), ("1", ["5", "6"])])
def test_one_conversation(flow: str, packets: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    notation(TWO)
    lines = shown("--flow", flow, "a.pcap", capsys=capsys).splitlines()
    assert lines[1].split()[0] == "no."
    assert [line.split()[0] for line in lines if " seq=" in line] == packets


def test_a_long_table_repeats_its_header(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("labkit.report.conversation_table.MAX_PREVIEW", 2)
    notation(TWO)
    for flow in ("0", "1"):
        lines = shown("--flow", flow, "a.pcap", capsys=capsys).splitlines()
        assert [line.split()[:2] for line in lines].count(["flow", "no."]) == 1


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "notation"])
def test_a_conversation_that_does_not_exist(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    notation(TWO)
    assert run(["show", "--flow", "2", "--format", format_, "a.pcap"]) == 2
    assert capsys.readouterr().err == "labkit: a.pcap: there is no conversation 2\n"


@pytest.mark.parametrize(
    ("options", "flows"),
    [
        (["--port", "40001"], {0}),
        (["--port", "40001", "--port", "40003"], {0, 2}),
        (["--host", "192.0.2.20"], {0, 1, 2}),
        (["--host", "192.0.2.0/28", "--flow", "1"], {1}),
        (["--host", "2001:db8::/32"], set()),
    ],
)
def test_selected_conversations(options: list[str], flows: set[int], capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.pkt").write_text(THREE)
    assert run(["build", "a.pkt", "-o", "a.pcap"]) == 0
    capsys.readouterr()
    code = run(["show", "--format", "json", *options, "a.pcap"])
    assert code == (0 if flows else 2)
    captured = capsys.readouterr()
    assert {segment["flow"] for segment in json.loads(captured.out)["segments"]} == flows
    assert captured.err == ("" if flows else "labkit: a.pcap: there is no conversation with 2001:db8::/32\n")


def test_several_interfaces_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("lossy-both-sides", "a.pcapng")
    headings = [line for line in shown("a.pcapng", capsys=capsys).splitlines() if "interface" in line]
    ends = "client 192.0.2.10:40000 ↔ server 192.0.2.20:80"
    assert headings == [
        f"conversation 0: {ends} at interface client",
        f"conversation 1: {ends} at interface server",
    ]


# For programs.

KEYS = [
    "packet",
    "time",
    "flow",
    "source",
    "destination",
    "from",
    "client_state",
    "server_state",
    "flags",
    "seq",
    "ack",
    "relative_seq",
    "relative_ack",
    "length",
    "window",
    "options",
]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    segments = json.loads(shown("--format", "json", "a.pcap", capsys=capsys))["segments"]
    assert len(segments) == 10
    assert all(list(segment) == KEYS for segment in segments)
    syn, reply = segments[0], segments[4]
    assert (syn["flags"], syn["ack"], syn["relative_ack"]) == (["SYN"], None, None)
    assert (syn["client_state"], syn["server_state"]) == ("SYN-SENT", "SYN-RECEIVED")
    assert [option for option in syn["options"] if option != "nop"] == ["mss 1460", "sackOK"]
    assert (reply["from"], reply["source"], reply["length"], reply["relative_ack"]) == (
        "server",
        "192.0.2.20:80",
        119,
        100,
    )
    lines = shown("--format", "jsonl", "a.pcap", capsys=capsys).splitlines()
    assert [json.loads(line) for line in lines] == segments


def test_json_with_the_names_of_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    segments = json.loads(shown("--format", "json", "--profile", "document", "a.pcap", capsys=capsys))["segments"]
    assert (segments[0]["client_state"], segments[0]["server_state"]) == ("SYN_SEND", None)
    assert (segments[3]["client_state"], segments[3]["server_state"]) == (None, None)


@pytest.mark.parametrize("name", ["document", "seq-wraparound", "timestamps", "urgent", "ecn", "fast-retransmit-sack"])
def test_the_notation_builds_the_same_capture(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    scenario(name)
    text = shown("--format", "notation", "a.pcap", capsys=capsys)
    assert text.splitlines()[1] == "# 192.0.2.10:40000 > 192.0.2.20:80"
    again = list(observe(frames(list(parse(text)))))
    with open_capture("a.pcap") as capture:
        first = list(observe(capture))
    for one, other in zip(first, again, strict=True):
        for field in ("number", "sender", "ctl", "seq", "ack", "length", "window", "urgent", "ecn", "states"):
            assert getattr(one, field) == getattr(other, field), (one.number, field)
        assert one.time - first[0].time == other.time
        assert one.options == other.options


def test_the_notation_leaves_out_what_no_line_can_hold(capsys: pytest.CaptureFixture[str]) -> None:
    # A length of 0 in the IP header stands for that of the frame (segmentation offload), which may claim any.
    text = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:101(100) ack 1\n> . 101:201(100) ack 1\n"
    with create("a.pcap", link=1) as writer:
        for frame in frames(list(parse(text))):
            claims = {3: 54 + 65_535, 4: 2_000_000_000}.get(frame.number)
            data = frame.data if claims is None else frame.data[:16] + bytes(2) + frame.data[18:]
            writer.write(frame.time, data, wirelen=claims)
    lines = shown("--format", "notation", "a.pcap", capsys=capsys).splitlines()
    assert " 1:65536(65535) " in lines[-2]
    assert lines[-1] == "# packet 4 is left out: it has 1999999946 octets of payload, a line at most 65535"
    assert [line.segment.length for line in parse("\n".join(lines))] == [1, 1, 65_535]


# What cannot be shown.


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "notation"])
def test_a_capture_without_tcp(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    with create("a.pcap", link=1) as writer:
        writer.write(0, bytes(60))
    assert run(["show", "--format", format_, "a.pcap"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "labkit: a.pcap: there is no TCP segment in it that labkit can read\n"
    if format_ == "json":
        assert json.loads(captured.out) == {"segments": []}
    else:
        assert captured.out == ""


def test_a_capture_that_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    Path("a.pcap").write_bytes(Path("a.pcap").read_bytes()[:-3])
    assert run(["show", "a.pcap"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count(" seq=") == 9
    assert captured.err.startswith("labkit: a.pcap: the capture ends in the middle of packet 10")
    assert captured.err.endswith("; shown up to there\n")


def test_garbage_in_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    scenario("document")
    Path("a.pcap").write_bytes(Path("a.pcap").read_bytes() + b"\xff" * 100)
    assert run(["show", "a.pcap"]) == 3
    captured = capsys.readouterr()
    assert captured.out.count(" seq=") == 10
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "is empty"), (b"hello, this is text\n", 'begins with "hello'), (None, "No such file")],
)
def test_unreadable_captures(data: bytes | None, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    if data is not None:
        Path("a.pcap").write_bytes(data)
    assert run(["show", "a.pcap"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("labkit: a.pcap: ")
    assert words in line


def test_standard_input() -> None:
    scenario("document")
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "show", "--profile", "document", "-"],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"},
        input=Path("a.pcap").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == DOCUMENT
    assert done.stderr == b""


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_table_loads_nothing_that_builds(format_: str, tmp_path: Path) -> None:
    Scenario.load("document").play().write(tmp_path / "a.pcapng")
    program = (
        "import sys; before = set(sys.modules); from labkit.cli import run; "
        f"code = run(['show', 'a.pcapng', '--format', '{format_}']); loaded = sys.modules.keys() - before; "
        "print(code, sorted({'labkit.build', 'labkit.packet.scapy_build', 'pathlib', 'ipaddress'} & loaded))"
    )
    environment = {"PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == b"0 []"
