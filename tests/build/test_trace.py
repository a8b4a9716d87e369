"""`trace`: packets, files and explanations."""

import shutil
import subprocess
from decimal import Decimal

import pytest
from scapy.layers.inet import IP, TCP

from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.errors import CaptureError, UsageError


@pytest.fixture(scope="module")
def document():
    return Scenario.load("document").play()


def test_packets_can_be_edited_in_scapy(document):
    packets = document.packets()
    assert len(packets) == len(document) == 10
    assert [(p[TCP].seq, p[TCP].ack, len(p[TCP].payload)) for p in packets[3:6]] == [
        (1, 1, 99),
        (1, 100, 119),
        (100, 120, 0),
    ]
    edited = packets[5]
    edited[TCP].ack += 1
    again = IP(bytes(edited[IP]))
    sum_sent = again[TCP].chksum
    del again[TCP].chksum
    assert IP(bytes(again))[TCP].chksum == sum_sent
    assert packets[5].time == packets[0].time + Decimal("0.08")


def test_each_packet_has_an_explanation(document):
    comments = [comment for _, _, comment in document.frames()]
    assert comments == [document.explanation(record) for record in document]
    assert comments[4].splitlines() == [
        "step 3: server send 119 octets",
        "client ESTABLISHED; server ESTABLISHED",
        "seq 1 (raw 1) = 1 (SYN); 119 octets: takes 119, next seq 120",
        "ack 100 (raw 100) = 1 (SYN) + 99 octets of the client",
        "data: RFC 9293 section 3.4 (sequence numbers)",
    ]
    assert comments[9].splitlines()[1:4] == [
        "client TIME-WAIT; server LAST-ACK -> CLOSED",
        "seq 101 (raw 101) = 1 (SYN) + 99 octets + 1 (FIN)",
        "ack 121 (raw 121) = 1 (SYN) + 119 octets + 1 (FIN) of the server",
    ]


def test_the_states_of_both_ends(document):
    assert [(str(record.client[1]), str(record.server[1])) for record in document] == [
        ("SYN-SENT", "SYN-RECEIVED"),
        ("ESTABLISHED", "SYN-RECEIVED"),
        *[("ESTABLISHED", "ESTABLISHED")] * 4,
        ("FIN-WAIT-1", "CLOSE-WAIT"),
        ("FIN-WAIT-2", "CLOSE-WAIT"),
        ("TIME-WAIT", "LAST-ACK"),
        ("TIME-WAIT", "CLOSED"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seq-wraparound", "seq 1 (raw 0) = 1 (SYN); 1460 octets: takes 1460, next seq 1461"),
        ("tail-loss", "seq 2921 (raw "),
        ("tail-loss", "sent before (client has used all numbers below 4001)"),
        ("tail-loss", "the path loses this segment after the point of capture"),
        ("keep-alive", "one before the next number, so that the peer must answer"),
        ("refused", "seq 0 (raw 0): 0, because there is no connection"),
        ("syn-lost", "the initial sequence number, again"),
        ("zero-window", "zero-window-probe: RFC 9293 section 3.8.6.1 (zero-window probing)"),
        ("fast-retransmit", "more sent, not yet acknowledged"),
    ],
)
def test_explanations(name, text):
    trace = Scenario.load(name).play()
    assert any(text in trace.explanation(record) for record in trace)


def read(path):
    with open_capture(path) as reader:
        frames = list(reader)
        return frames, dict(reader.names), list(reader.comments)


def test_the_annotated_edition(document, tmp_path):
    target = tmp_path / "a.pcapng"
    document.write(target)
    frames, names, comments = read(target)
    assert [(frame.time, frame.data, frame.comments[0]) for frame in frames] == list(document.frames())
    assert names == {"192.0.2.10": "client", "192.0.2.20": "server"}
    assert comments == ["document: The document's handshake, transfer and teardown\nseed 0"]


def test_the_student_edition_has_no_hints(document, tmp_path):
    target = tmp_path / "a.pcapng"
    document.write(target, edition="student")
    frames, names, comments = read(target)
    assert ([frame.comments for frame in frames], names, comments) == ([()] * 10, {}, [])
    octets = target.read_bytes()
    assert not [word for word in (b"seed", b"document", b"client", b"RFC") if word in octets]


def test_pcap_has_the_same_packets(document, tmp_path):
    document.write(tmp_path / "a.pcap")
    document.write(tmp_path / "b.bin", format="pcap")
    assert (tmp_path / "a.pcap").read_bytes() == (tmp_path / "b.bin").read_bytes()
    frames, _, _ = read(tmp_path / "a.pcap")
    assert [(f.time, f.data) for f in frames] == [(time, data) for time, data, _ in document.frames()]


def test_impossible_targets_are_refused(document, tmp_path):
    with pytest.raises(UsageError, match="edition 'teacher'"):
        document.write(tmp_path / "a.pcap", edition="teacher")
    with pytest.raises(UsageError):
        document.write(tmp_path / "a.txt")
    with pytest.raises(CaptureError):
        document.write(tmp_path / "missing" / "a.pcap")


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_shows_the_comments_and_names(document, tmp_path):
    target = tmp_path / "a.pcapng"
    document.write(target)
    shown = subprocess.run(
        ["tshark", "-r", target, "-N", "n", "-T", "fields", "-e", "frame.comment", "-e", "ip.src_host"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert "step 1: client connect" in shown[0]
    assert [line.split("\t")[1] for line in shown[:2]] == ["client", "server"]
