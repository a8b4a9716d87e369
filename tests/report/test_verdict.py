"""`labkit.verify` takes anything that holds packets; its verdict prints itself."""

import io
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from ipaddress import ip_network
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import PcapReader, rdpcap

from labkit import (
    FlowFilter,
    Frame,
    ReportConfig,
    Scenario,
    Severity,
    Trace,
    UsageError,
    Verdict,
    VerdictError,
    inject,
    open_capture,
    verify,
)
from labkit.analysis.native import engine
from labkit.cli import run
from labkit.errors import CaptureError


@pytest.fixture(scope="module")
def trace() -> Trace:
    return inject(Scenario.load("document").play(seed=1), ["ack-of-unsent-data@6"])


@pytest.fixture(scope="module")
def path(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verdict") / "a.pcapng"
    trace.write(path)
    return path


def frames(path: Path) -> list[Frame]:
    with open_capture(path) as capture:
        return list(capture)


SOURCES: dict[str, Callable[[Path, Trace], object]] = {
    "text": lambda path, _trace: str(path),
    "path": lambda path, _trace: path,
    "bytes": lambda path, _trace: path.read_bytes(),
    "bytearray": lambda path, _trace: bytearray(path.read_bytes()),
    "memoryview": lambda path, _trace: memoryview(path.read_bytes()),
    "stream": lambda path, _trace: io.BytesIO(path.read_bytes()),
    "trace": lambda _path, trace: trace,
    "scapy list": lambda path, _trace: rdpcap(str(path)),
    "scapy iterator": lambda path, _trace: iter(rdpcap(str(path))),
    "scapy packets that were built": lambda _path, trace: trace.packets(),
    "scapy reader": lambda path, _trace: PcapReader(str(path)),
    "frames": lambda path, _trace: frames(path),
    "frame iterator": lambda path, _trace: iter(frames(path)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same_findings_and_report(name: str, path: Path, trace: Trace) -> None:
    source = SOURCES[name](path, trace)
    expected, found = verify(path), verify(source)  # type: ignore[arg-type]
    getattr(source, "close", lambda: None)()
    assert found.findings == expected.findings
    assert (found.start, found.packets, found.completeness) == (expected.start, 10, "counted")
    # The excerpt with the segments around the fault needs the packets once more.
    assert found.text().partition(":")[2] == expected.text().partition(":")[2]
    assert "  >     6  → ACK" in found.text()


def test_a_file_object_is_read_from_where_it_stands_and_stays_open(path: Path) -> None:
    with path.open("rb") as file:
        assert [each.code for each in verify(file).findings] == ["ACK01"]
        assert not file.closed
    stream = io.BytesIO(b"junk" + path.read_bytes())
    stream.seek(4)
    assert "  >     6" in verify(stream).text()


def test_frames_keep_their_numbers(path: Path) -> None:
    later = [frame for frame in frames(path) if frame.number > 3]
    found = verify(later, select="ACK01")
    assert [each.packet for each in found.findings] == [6]
    assert "  >     6  → ACK" in found.text()


def test_large_frames_go_through_the_compiled_engine(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = engine.verify_capture

    def spy(capture: object, *arguments: object, **options: object) -> object:
        seen.append(type(capture).__name__)
        return real(capture, *arguments, **(options | {"engine": "interpreted"}))  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "verify_capture", spy)
    monkeypatch.setattr(engine, "LARGE", 100)
    expected = verify(path)
    assert verify(frames(path)).findings == expected.findings
    assert verify(frames(path), engine="compiled").findings == expected.findings
    assert verify(frames(path), engine="interpreted").findings == expected.findings
    assert verify([frame for frame in frames(path) if frame.number > 3]).packets == 7
    assert seen == ["PcapngReader", "PcapngReader", "PcapngReader", "FramesReader", "FramesReader"]


def test_both_sides_of_a_path_are_two_interfaces(tmp_path: Path) -> None:
    trace = Scenario.load("lossy-both-sides").play(seed=3)
    trace.write(tmp_path / "a.pcapng")
    here, there = verify(trace), verify(tmp_path / "a.pcapng")
    assert here.findings == there.findings
    assert here.limits == there.limits
    assert here.annotate(tmp_path / "here.pcapng") == there.annotate(tmp_path / "there.pcapng")
    assert [frame[1:5] for frame in frames(tmp_path / "here.pcapng")] == [
        frame[1:5] for frame in frames(tmp_path / "there.pcapng")
    ]


def built() -> Iterator[object]:
    """A handshake of Scapy packets with an IP header first, as `IP()/TCP()` makes them."""
    for number, (sport, flags, seq, ack) in enumerate([(4000, "S", 7, 0), (80, "SA", 9, 8), (4000, "A", 8, 10)]):
        source, target = ("192.0.2.1", "192.0.2.2") if sport == 4000 else ("192.0.2.2", "192.0.2.1")
        packet = IP(src=source, dst=target) / TCP(sport=sport, dport=4080 - sport, flags=flags, seq=seq, ack=ack)
        packet.time = 1_000_000_000 + number * 0.25
        yield packet


def test_scapy_packets_without_a_link_layer() -> None:
    found = verify(built(), fail_on="warning", ignore="OPT,CAP")  # type: ignore[arg-type]
    assert (found.packets, found.segments, found.flows) == (3, 3, 1)
    assert found.start == 10**18
    assert found.conversations[0].duration == 0.5
    assert found.ok


def test_one_packet_is_a_capture_too() -> None:
    assert verify(next(built())).packets == 1  # type: ignore[arg-type]
    assert verify(Ether() / IP() / TCP()).segments == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (5, "cannot verify a value of type int; expected a path, a file, bytes, a Trace, Scapy packets or frames"),
        (None, "cannot verify a value of type NoneType; expected a path"),
        ([b"octets"], "item 1 has the type bytes; expected a Scapy packet or a Frame"),
        ([Ether() / IP() / TCP(), "x"], "item 2 has the type str; expected a Scapy packet or a Frame"),
        (
            [Raw(b"x")],
            "packet 1: Scapy did not dissect the packet; import scapy.layers.inet before you read or build packets",
        ),
        ([TCP()], "packet 1: the packet begins with Scapy's layer TCP, which no link type names; expected Ether"),
        ([Ether() / IP() / TCP(seq=1 << 40)], "packet 1: Scapy cannot build the packet: "),
        (io.StringIO("x"), "the file is open as text; expected a binary file"),
    ],
)
def test_what_holds_no_packets_is_refused(source: object, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        verify(source)  # type: ignore[arg-type]
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), "noon"])
def test_a_time_that_is_none_is_refused(time: object) -> None:
    packet = Ether() / IP() / TCP()
    packet.time = time
    with pytest.raises(UsageError, match="packet 1: the packet's time is "):
        verify([packet])


def test_a_file_that_is_no_capture(tmp_path: Path) -> None:
    for source in (tmp_path / "none.pcap", b"nonsense", b""):
        with pytest.raises(CaptureError):
            verify(source)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"fail_on": "fatal"}, "there is no severity 'fatal'; the severities are note, warning, error"),
        ({"severity": {"ACK01": "errors"}}, "there is no severity 'errors'"),
        ({"profile": "rfc793"}, "there is no profile 'rfc793'; the profiles are rfc9293, document"),
        ({"select": "ACK1"}, "no rule or family is named 'ACK1'"),
        ({"select": ["ACK"], "ignore": ("ACK",)}, "select and ignore leave no rule"),
        ({"engine": "fast"}, "there is no engine 'fast'; the engines are auto, interpreted, compiled"),
        ({"strict": "cut"}, "there is no limit 'cut'"),
        ({"literal": True}, "the literal rules belong to the profile 'document'"),
        ({"rules": ["missing.py"]}, "missing.py"),
        ({"select": 5}, "5 is not a list of words; expected codes or names of rules"),
        ({"ignore": [5]}, "[5] is not a list of words; expected codes or names of rules"),
        ({"flow_filter": "port 80"}, "flow_filter: got 'port 80'; expected a FlowFilter or a function"),
        ({"on_progress": 5}, "on_progress: got 5; expected a function"),
        ({"severity": {"ACK1": "error"}}, "no rule or family is named 'ACK1'"),
        ({"complete": "no"}, "complete: got 'no'; expected one of True, False, None"),
        ({"allow_empty": 5}, "allow_empty: got 5; expected one of True, False, None"),
    ],
)
def test_wrong_options_are_refused(path: Path, options: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError) as error:
        verify(path, **options)  # type: ignore[arg-type]
    assert expected in str(error.value)


def test_the_compiled_engine_refuses_numbers_that_a_file_would_not_have(path: Path) -> None:
    with pytest.raises(UsageError, match="counts packets from 1"):
        verify([frame for frame in frames(path) if frame.number > 3], engine="compiled")


def test_the_options_are_those_of_the_command(path: Path, tmp_path: Path) -> None:
    assert verify(path, ignore="ACK,SEQ")
    assert verify(path, ignore=["ACK", "sequence"])
    assert verify(path, severity={"ACK01": "warning"})
    assert not verify(path, severity={"ACK01": Severity.WARNING}, fail_on=Severity.WARNING)
    assert verify(path, flow_filter=FlowFilter(hosts=(ip_network("192.0.2.0/24"),))).reported == 1
    nobody = FlowFilter(ports=(443,))
    assert verify(path, flow_filter=nobody).outcome() == "not-judged"
    assert not verify(path, flow_filter=nobody)
    assert verify(path, flow_filter=nobody, allow_empty=True)
    assert verify(path, flow_filter=lambda flow: flow.index == 0).reported == 1
    assert verify(path, complete=True).completeness == "complete"
    assert verify(path, complete=False).completeness == "partial"
    assert verify(path, profile="document").assumed
    (tmp_path / "labkit.toml").write_text('ignore = ["ACK"]\n')
    assert verify(path, config=tmp_path / "labkit.toml")
    assert not verify(path, config=str(tmp_path / "labkit.toml"), ignore=())
    assert verify(path, config=ReportConfig(ignore=("ACK",)))
    # As on the command line, a selection replaces the file's `ignore`, and a profile its `literal`.
    assert not verify(path, config=ReportConfig(ignore=("ACK",)), select="ACK01")
    assert verify(path, config=ReportConfig("document", literal=True), profile="rfc9293").config.literal is False


def test_progress(path: Path) -> None:
    seen: list[int] = []
    frame = frames(path)[0]
    assert (
        verify([frame._replace(number=number) for number in range(1, 10_001)], on_progress=seen.append).packets
        == 10_000
    )
    assert seen == [4096, 8192]


def test_a_verdict_is_true_if_the_capture_passes(path: Path) -> None:
    assert bool(verify(path)) is verify(path).ok is False
    assert bool(verify(Scenario.load("document").play())) is True
    assert not verify([])


def test_a_verdict_does_not_change(path: Path) -> None:
    verdict = verify(path)
    with pytest.raises(FrozenInstanceError):
        verdict.packets = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        verdict.findings[0].code = "ACK02"  # type: ignore[misc]


def test_printing_shows_the_report(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--no-config", str(path)]) == 1
    printed = capsys.readouterr().out
    verdict = verify(path)
    assert f"{verdict}\n" == verdict.text() + "\n" == printed
    assert "\x1b" in verdict.text(color=True)
    assert verdict._repr_mimebundle_()["text/plain"] == verdict.text()
    assert len(verdict.text(verbose=True)) > len(verdict.text())


def test_the_dictionary_is_that_of_the_json_format(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--no-config", "--format", "json", str(path)]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(verify(path).to_dict())) == printed["captures"][0]


def test_times_are_exact_to_the_nanosecond(path: Path) -> None:
    shifted = [frame._replace(time=frame.time + frame.number * 1_000_000_001) for frame in frames(path)]
    record = verify(shifted).to_dict()
    assert record["start"] == "1767225601.000000001"
    findings = record["findings"]
    assert isinstance(findings, list)
    time = shifted[5].time - shifted[0].time
    assert findings[0]["time_exact"] == f"{time // 10**9}.{time % 10**9:09d}"
    conversations = record["conversations"]
    assert isinstance(conversations, list)
    assert conversations[0]["duration_exact"].endswith("9")


def test_what_must_pass_and_does_not_raises(path: Path) -> None:
    verify(Scenario.load("document").play()).raise_for_errors()
    with pytest.raises(VerdictError) as error:
        verify(path).raise_for_errors()
    assert str(error.value).startswith(
        f"{path}: FAIL  1 error (10 packets, 1 conversation, profile rfc9293); packet 6, "
    )
    assert isinstance(error.value.verdict, Verdict)
    with pytest.raises(VerdictError, match="NOT JUDGED"):
        verify([]).raise_for_errors()
    with pytest.raises(VerdictError, match=r"limit fails"):
        verify(frames(path)[4:], strict=True, ignore="ACK,SEQ").raise_for_errors()


def test_a_verdict_can_be_sent_to_another_process(path: Path) -> None:
    for source in (path, path.read_bytes(), frames(path)):
        verdict = verify(source, ignore="KA")
        again = pickle.loads(pickle.dumps(verdict))  # noqa: S301 - it was written above
        assert again == verdict
        assert again.text() == verdict.text()
