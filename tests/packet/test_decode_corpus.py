"""Real captures: what tshark sees as TCP, labkit sees, field by field.

All captures go to tshark as one: it starts once, and takes seconds instead of minutes.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wireshark import release

from labkit.capture import create, open_capture
from labkit.packet.decode.outcome import FRAGMENT, TCP
from labkit.packet.decode.walk import decode
from labkit.packet.reassembly import Reassembler
from labkit.packet.seen import ABSENT, SHORT_IP, SUM_BAD, SUM_GOOD, SUM_PARTIAL, SUM_UNKNOWN, SUM_ZERO, Seen

FOLDERS = [Path(__file__).parents[2] / "pcaps"]
if os.environ.get("LABKIT_CAPTURES"):
    FOLDERS.append(Path(os.environ["LABKIT_CAPTURES"]))

SECOND = 1_000_000_000

FIELDS = (
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.urgent_pointer",
    "tcp.hdr_len",
    "tcp.len",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    "tcp.options.timestamp.tsval",
    "tcp.options.timestamp.tsecr",
    "tcp.options.sack.count",
    "tcp.options.sack_le",
    "tcp.options.sack_re",
    "tcp.checksum.status",
    "ip.checksum.status",
)
PREFERENCES = (
    "ip.check_checksum:TRUE",
    "ip.defragment:TRUE",
    "tcp.check_checksum:TRUE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
)
NEW = release() >= (4, 6)
# That a checksum is the partial one, which a network card is to complete, newer versions call good.
STATUS = {SUM_BAD: "0", SUM_ZERO: "0", SUM_PARTIAL: "1" if NEW else "0", SUM_GOOD: "1", SUM_UNKNOWN: "2"}

# Where labkit and tshark differ and labkit is right: the fields, and why.
EXCEPTIONS = {
    "gre-aruba-amsdu.pcap": (FIELDS, "two segments in a frame: labkit reads the first"),
    "cisco-fabric-path.pcap": (FIELDS, "tshark takes the last four octets for a check sequence"),
    "fragmented-4.pcap": (
        ("tcp.checksum.status",),
        "fragments overlap: with the octets that came first the sum is right",
    ),
}

# Newer versions do not decode an IP packet that is longer than the tunnel that holds it: labkit reads what is there.
UNREAD = {("gtp9_unknown_or_too_short_payload.pcap", 11)} if NEW else set()


def captures(folder):
    return sorted(path for path in folder.rglob("*") if {".pcap", ".pcapng", ".cap"} & set(path.suffixes))


def merge(paths, target):
    """All frames of the captures in one file; for each frame, whose it is."""
    origins = []
    with create(target, link=1) as writer:
        interfaces = {1: 0}
        for minute, path in enumerate(paths):
            with open_capture(path) as capture:
                for frame in capture:
                    if frame.link not in interfaces:
                        interfaces[frame.link] = writer.add_interface(frame.link)
                    wirelen = max(frame.wirelen, len(frame.data))
                    # A minute between captures keeps their fragments apart.
                    time = len(origins) + 60 * SECOND * minute
                    writer.write(time, frame.data, wirelen=wirelen, interface=interfaces[frame.link])
                    origins.append((path.name, frame.number))
    return origins


def tshark(path):
    """For each frame with TCP in it that no ICMP error quotes, tshark's fields as text."""
    arguments = [word for preference in PREFERENCES for word in ("-o", preference)]
    arguments += [word for name in ("frame.number", "frame.protocols", *FIELDS) for word in ("-e", name)]
    command = ["tshark", "-n", "-r", path, "-Y", "tcp", "-T", "fields", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {int(row[0]): row[2:] for row in rows if ":icmp" not in row[1]}


def labkit(path):
    """For each frame with TCP in it, the fields as tshark would write them, and whether IP is too long."""
    rows = {}
    seg = Seen()
    reassembler = Reassembler()
    with open_capture(path) as capture:
        for frame in capture:
            seg.time, seg.wirelen = frame.time, frame.wirelen
            found = decode(frame.data, 0, len(frame.data), frame.link, seg)
            if found == TCP or (found == FRAGMENT and reassembler.segment(frame.data, seg) is not None):
                rows[frame.number] = as_text(seg), seg.fault == SHORT_IP
    return rows


def as_text(seg):
    row = [
        str(seg.sport),
        str(seg.dport),
        str(seg.seq),
        str(seg.ack),
        f"0x{seg.ctl:04x}",
        str(seg.win),
        str(seg.urg),
    ]
    row += [str(seg.doff), str(seg.len)]
    row += ["" if value == ABSENT else str(value) for value in (seg.mss, seg.wscale, seg.tsval, seg.tsecr)]
    left = seg.sack_left[: seg.sack_n]
    right = seg.sack_right[: seg.sack_n]
    row += [str(seg.sack_n) if seg.sack_n else "", ",".join(map(str, left)), ",".join(map(str, right))]
    return [*row, STATUS[seg.sum_state], "" if seg.version == 6 else STATUS[seg.ip_sum_state]]


def differences(theirs, ours, ip_too_long):
    """The fields in which two rows differ. What was not captured, tshark leaves out."""
    differ = {}
    for name, value, mine in zip(FIELDS, theirs, ours, strict=True):
        if NEW and name == "tcp.options.sack.count":
            same = True  # it counts only where it analyzes sequence numbers
        elif name == "ip.checksum.status":
            # A tunnel's IP header comes first, and an inner one of IPv6 has no checksum.
            same = mine in ("", value.split(",")[-1])
        else:
            same = mine == value or (value == "" and mine in ("0", "0x0000"))
        # tshark judges by what is there; labkit believes the IP header and judges no checksum.
        if not same and not (ip_too_long and name in ("tcp.len", "tcp.checksum.status")):
            differ[name] = value, mine
    return differ


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_sees_what_tshark_sees(folder, tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    paths = captures(folder)
    if not paths:
        pytest.skip("there are no captures here")
    merged = tmp_path / "all.pcapng"
    try:
        origins = merge(paths, merged)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(tshark, merged)
            ours = labkit(merged)
            theirs = waiting.result()
    finally:
        merged.unlink()  # it is large, and pytest keeps the folder
    found = {}
    for number in theirs.keys() | ours.keys():
        name, packet = origins[number - 1]
        if (name, packet) in UNREAD:
            assert number not in theirs
        elif number not in theirs or number not in ours:
            found[name, packet] = "only tshark" if number in theirs else "only labkit"
        elif theirs[number] != ours[number][0]:
            allowed = EXCEPTIONS.get(name, ((), ""))[0]
            differ = differences(theirs[number], *ours[number])
            found[name, packet] = {field: pair for field, pair in differ.items() if field not in allowed}
    assert {place: differ for place, differ in found.items() if differ} == {}
    assert ours
