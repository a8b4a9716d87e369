"""Other programs read what labkit writes: docs/readers.md says what each of them loses. Those that are missing are skipped."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from labkit.build.scenario import Scenario
from labkit.capture import open_capture

PACKETS = 24
NANOSECONDS = ".010000001"
"""The end of the second time."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pcapng with two interfaces, names and comments, and a pcap."""
    found = tmp_path_factory.mktemp("readers")
    values = {
        "name": "a",
        "client": {"name": "client.example"},
        "path": {"rtt": "20000002ns"},
        "steps": [{"client": "connect"}, {"client": {"send": 99}}, {"server": {"send": 3000}}],
    }
    steps = [*values["steps"], {"client": "close"}, {"server": "close"}]  # type: ignore[misc]
    Scenario.from_dict({**values, "steps": steps, "capture": "both"}).play().write(found / "both.pcapng")
    Scenario.from_dict({**values, "steps": steps, "capture": "server"}).play().write(found / "one.pcap")
    return found


def said(folder: Path, command: str) -> str:
    program, *arguments = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "(pcapng:" not in done.stderr, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["editcap both.pcapng {}", "mergecap -w {} both.pcapng", "reordercap both.pcapng {}"]
)
def test_what_is_written_again_keeps_everything(command: str, folder: Path) -> None:
    name = f"{command.split()[0]}.pcapng"
    said(folder, command.format(name))
    with open_capture(folder / "both.pcapng") as capture:
        expected = [(frame.time, frame.data, frame.comments, frame.interface) for frame in capture]
    with open_capture(folder / name) as capture:
        found = [(frame.time, frame.data, frame.comments, frame.interface) for frame in capture]
        assert capture.damage is None
    assert sorted(found) == sorted(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "packets"),
    [
        ("tshark -r both.pcapng -T fields -e frame.number", r"(?m)^\d+$"),
        ("tcpdump -n --nano -tt -r both.pcapng", r"(?m)^\d+\.\d{9} IP "),
    ],
)
def test_every_packet_is_read(command: str, packets: str, folder: Path) -> None:
    assert len(re.findall(packets, said(folder, command))) == PACKETS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("capinfos -c -T -r both.pcapng", rf"both\.pcapng\t{PACKETS}\n"),
        ("capinfos -I both.pcapng", r"(?s)Name = client\n.*Name = server\n"),
        ("tshark -r both.pcapng -T fields -e frame.time_epoch", rf"{re.escape(NANOSECONDS)}\n"),
        ("tshark -r both.pcapng -T fields -e frame.comment", r"step 1: client connect"),
        ("tcpdump -n --nano -tt -r both.pcapng", rf"{re.escape(NANOSECONDS)} IP"),
        ("tcptrace one.pcap", r"12 packets seen, 12 TCP packets traced"),
        ("tcptrace both.pcapng", r"24 packets seen, 24 TCP packets traced"),
        ("tcpflow -r one.pcap -c", r"000000 abcdefghijklmnopqrstuvwxyz"),
        ("tcpflow -r both.pcapng -c", r"000000 abcdefghijklmnopqrstuvwxyz"),
        ("ngrep -q -I one.pcap 000064", r"T 192\.0\.2\.20:80 -> 192\.0\.2\.10:40000"),
        ("ngrep -q -I both.pcapng 000064", r"T 192\.0\.2\.20:80 -> 192\.0\.2\.10:40000"),
    ],
)
def test_what_is_written_is_shown(command: str, shown: str, folder: Path) -> None:
    assert re.search(shown, said(folder, command))


@pytest.mark.slow
def test_scapy_keeps_nanoseconds_and_comments(folder: Path) -> None:
    from scapy.utils import rdpcap

    packets = rdpcap(str(folder / "both.pcapng"))
    assert len(packets) == PACKETS
    assert str(packets[1].time).endswith(NANOSECONDS)
    assert b"step 1: client connect" in packets[0].comments[0]


@pytest.mark.slow
def test_dpkt_keeps_nanoseconds_of_a_pcap(folder: Path) -> None:
    dpkt = pytest.importorskip("dpkt")
    with (folder / "one.pcap").open("rb") as file:
        packets = list(dpkt.pcap.UniversalReader(file))
    assert len(packets) == PACKETS // 2
    assert str(packets[0][0]).endswith(NANOSECONDS)
    with (folder / "both.pcapng").open("rb") as file:
        assert len(list(dpkt.pcap.UniversalReader(file))) == PACKETS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
def test_python_pcapng_keeps_comments(folder: Path) -> None:
    pcapng = pytest.importorskip("pcapng")
    with (folder / "both.pcapng").open("rb") as file:
        blocks = [each for each in pcapng.FileScanner(file) if isinstance(each, pcapng.blocks.EnhancedPacket)]
    assert len(blocks) == PACKETS
    assert blocks[0].options["opt_comment"].startswith("step 1: client connect")


@pytest.mark.slow
def test_nfstream_counts_every_packet(folder: Path) -> None:
    nfstream = pytest.importorskip("nfstream")
    flows = list(nfstream.NFStreamer(source=str(folder / "one.pcap"), n_dissections=0))
    assert [each.bidirectional_packets for each in flows] == [PACKETS // 2]
