"""What other programs make of the captures that are written, and of those that are read."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wireshark import release

from labkit.capture import create, open_capture
from labkit.errors import CaptureError

NOW = 1_700_000_000_123_456_789
LAST = 2**31 * 10**9 - 1
"""The last nanosecond that tcpdump's time has."""
FRAME = bytes.fromhex(
    "020000000002020000000001080045000028000040004006b6b1c000020ac00002149c4000500000000000000000500200ffb1340000"
)
"""A SYN from 192.0.2.10 to 192.0.2.20 on Ethernet."""


def run(program, *arguments):
    """What a program prints; it must end well and have nothing to complain about."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    # What is not a complaint about a capture: that tshark runs as root, its own mistakes, what tcpdump reads.
    known = ("Running as user", "reading from file", "dropped privs", "Dissector bug")
    lines = done.stderr.splitlines()
    complaints = [line for line in lines if line and not any(words in line for words in known)]
    assert (done.returncode, complaints) == (0, [])
    return done.stdout


@pytest.fixture(
    params=[("pcap", True), ("pcap", False), ("pcapng", True), ("pcapng", False)],
    ids=["pcap-ns", "pcap-us", "pcapng-ns", "pcapng-us"],
)
def capture(request, tmp_path):
    """A capture in each format and resolution, and the times that are in it."""
    format_, nanoseconds = request.param
    path = tmp_path / f"a.{format_}"
    with create(
        path,
        link=1,
        nanoseconds=nanoseconds,
        comment="the whole thing ü",
        names={"192.0.2.10": "client.lab", "192.0.2.20": "server.lab", "2001:db8::1": "six.lab"},
        interface_name="lab0",
        interface_description="between the two",
        hardware="a machine",
        system="a system",
        application="a program",
    ) as writer:
        writer.write(0, FRAME, comments=["first ü", "another"], outbound=True)
        writer.write(NOW, FRAME, wirelen=1514, comments=["x" * 65_535], outbound=False)
        if writer.annotates:
            other = writer.add_interface(101, name="lab1")
            writer.write(LAST, FRAME[14:], interface=other)
        else:
            writer.write(LAST, FRAME)
    unit = 1 if nanoseconds else 1000
    return path, [time // unit * unit for time in (0, NOW, LAST)]


def seconds(text):
    """Nanoseconds of a time in seconds, without the rounding of a float."""
    whole, _point, fraction = text.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def test_tshark_reads_what_is_written(capture):
    path, times = capture
    fields = ("frame.time_epoch", "frame.cap_len", "frame.len", "tcp.flags.syn", "ip.src")
    output = run("tshark", "-n", "-r", str(path), "-T", "fields", *(word for field in fields for word in ("-e", field)))
    rows = [line.split("\t") for line in output.splitlines()]
    assert [seconds(row[0]) for row in rows] == times
    last = 40 if path.suffix == ".pcapng" else 54
    yes = "1" if release() < (4, 2) else "True"
    assert [row[1:] for row in rows] == [
        ["54", "54", yes, "192.0.2.10"],
        ["54", "1514", yes, "192.0.2.10"],
        [str(last), str(last), yes, "192.0.2.10"],
    ]


def test_tshark_shows_comments_names_and_directions(capture):
    path, _times = capture
    if path.suffix != ".pcapng":
        pytest.skip("a pcap has none")
    fields = ("frame.comment", "frame.interface_name", "frame.packet_flags_direction", "ip.src_host")
    output = run(
        "tshark",
        *("-r", str(path), "-T", "fields", "-o", "nameres.network_name:TRUE"),
        *("-o", "nameres.use_external_name_resolver:FALSE"),
        *(word for field in fields for word in ("-e", field)),
    )
    rows = [line.split("\t") for line in output.splitlines()]
    assert rows[0][0] == "first ü,another"
    assert len(rows[1][0]) >= 1000
    assert [row[1] for row in rows] == ["lab0", "lab0", "lab1"]
    assert [row[2] for row in rows] == ["0x00000002", "0x00000001", ""]
    assert [row[3] for row in rows] == ["client.lab"] * 3


def test_capinfos_reads_what_is_written(capture):
    path, _times = capture
    output = run("capinfos", "-M", str(path))
    assert "Number of packets:   3" in output
    if path.suffix == ".pcapng":
        for words in (
            "the whole thing ü",
            "a machine",
            "a system",
            "a program",
            "Name = lab0",
            "Name = lab1",
        ):
            assert words in output


def test_tcpdump_reads_what_is_written(capture):
    path, times = capture
    if path.suffix == ".pcapng":
        # libpcap reads a pcapng only while all its interfaces have one link type.
        with create(path, link=1, comment="one interface", names={"192.0.2.10": "client.lab"}) as writer:
            for time in times:
                writer.write(time, FRAME, comments=["a comment"])
    output = run("tcpdump", "-n", "-tt", "--nano", "-r", str(path))
    rows = [line.split(" ") for line in output.splitlines()]
    assert [seconds(row[0]) for row in rows] == times
    assert {row[2] for row in rows} == {"192.0.2.10.40000"}


def test_editcap_converts_to_what_is_read(tmp_path, capture):
    path, times = capture
    target = tmp_path / "converted"
    run("editcap", "-F", "pcapng", str(path), str(target))
    with open_capture(target) as converted:
        assert [frame.time for frame in converted] == times
        assert converted.damage is None


def captures():
    folder = os.environ.get("LABKIT_CAPTURES")
    if not folder:
        pytest.skip("LABKIT_CAPTURES names no folder of captures")
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    assert paths
    return paths


def test_every_capture_is_read():
    kinds = set()
    for path in captures():
        try:
            with open_capture(path) as capture:
                count = sum(1 for _ in capture)
                kinds.add((capture.format, capture.compressed))
                assert (capture.damage, count > 0) == (None, True), path
        except CaptureError:
            assert path.suffix not in {".pcap", ".pcapng", ".cap", ".gz"}, path
    assert kinds


def theirs(path):
    """What tshark sees of each packet: the time, the octets captured and on the wire."""
    fields = ("frame.time_epoch", "frame.cap_len", "frame.len")
    output = run(
        "tshark",
        *("-n", "-r", str(path), "-T", "fields"),
        *(word for field in fields for word in ("-e", field)),
    )
    rows = (line.split("\t") for line in output.splitlines())
    return [(seconds(time), int(caplen), int(wirelen)) for time, caplen, wirelen in rows]


def test_captures_are_read_as_tshark_reads_them():
    """A sample of what is there: starting tshark for each of them takes minutes."""
    paths = [path for path in captures() if path.suffix in {".pcap", ".pcapng", ".cap", ".gz"}]
    sample = [*[path for path in paths if ".pcapng" in path.name][::4], *paths[::60]]
    with ThreadPoolExecutor(4) as pool:
        seen = dict(zip(sample, pool.map(theirs, sample), strict=True))
    for path, expected in seen.items():
        with open_capture(path) as capture:
            assert [(frame.time, len(frame.data), frame.wirelen) for frame in capture] == expected, path


def test_what_scapy_writes_is_read(tmp_path):
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap, wrpcapng

    packet = Ether(FRAME)
    packet.time = 7.000008
    for write in (wrpcap, wrpcapng):
        path = tmp_path / write.__name__
        write(str(path), [packet])
        with open_capture(path) as capture:
            assert [(frame.time, frame.data) for frame in capture] == [(7_000_008_000, FRAME)]


def test_scapy_reads_what_is_written(capture):
    from scapy.utils import rdpcap

    path, times = capture
    packets = rdpcap(str(path))
    assert [round(packet.time * 10**9) for packet in packets] == times
    assert bytes(packets[0]) == FRAME
