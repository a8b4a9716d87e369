"""The answers that labkit finds in a given capture, found again by tshark."""

import shutil
import subprocess
from pathlib import Path

import pytest

from labkit.teach.assign import Assignment
from labkit.teach.assign.material import CAPTURE, CLIENT, SERVER, Material, material

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing")

FIELDS = (
    "frame.number", "ip.src", "tcp.seq_raw", "tcp.len", "tcp.flags", "tcp.analysis.retransmission",
    "tcp.analysis.fast_retransmission", "tcp.analysis.duplicate_ack", "tcp.options.mss_val", "ip.ttl", "tcp.srcport",
    "tcp.options.sack_perm",
)  # fmt: skip
SYN, FIN, ACK = 2, 1, 16


def read(octets: bytes, folder: Path) -> list[dict[str, str]]:
    (folder / "x.pcapng").write_bytes(octets)
    arguments = [word for field in FIELDS for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(folder / "x.pcapng"), "-T", "fields", *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def right(own: Material) -> dict[int, tuple[str, ...]]:
    return {part.answer.number: part.answer.right for part in own.task.parts if part.answer}


def flags(packet: dict[str, str]) -> int:
    return int(packet["tcp.flags"], 16)


def isn(packets: list[dict[str, str]], bits: int) -> str:
    return next(each["tcp.seq_raw"] for each in packets if flags(each) & (SYN | ACK) == bits)


def sent(packets: list[dict[str, str]], address: str) -> str:
    """The bytes of a side: how far its last one lies behind its SYN."""
    own = [each for each in packets if each["ip.src"] == address and int(each["tcp.len"])]
    syn = next(int(each["tcp.seq_raw"]) for each in packets if each["ip.src"] == address and flags(each) & SYN)
    return str(max((int(each["tcp.seq_raw"]) + int(each["tcp.len"]) - syn - 1) % 2**32 for each in own))


@pytest.mark.parametrize("seed", range(6))
def test_loss(seed: int, tmp_path: Path) -> None:
    own = material(Assignment.load("loss"), seed, seed)
    packets = read(own.captures[CAPTURE], tmp_path)
    answers = right(own)
    again = [
        each for each in packets if each["tcp.analysis.retransmission"] or each["tcp.analysis.fast_retransmission"]
    ]
    assert answers[2] == (again[0]["frame.number"],)
    lost = next(each for each in packets if each["tcp.seq_raw"] == again[0]["tcp.seq_raw"] and int(each["tcp.len"]))
    assert answers[1] == (lost["frame.number"],)
    assert answers[4] == (str(sum(bool(each["tcp.analysis.duplicate_ack"]) for each in packets)),)
    fin = next(each for each in packets if flags(each) & FIN)
    assert answers[5] == ({"192.0.2.10": "client", "192.0.2.20": "server"}[fin["ip.src"]],)
    assert answers[6] == (sent(packets, "192.0.2.20"),)
    fast = again[0]["tcp.analysis.fast_retransmission"] != ""
    assert answers[3][0] == ("duplicate ACKs" if fast else "timer")


@pytest.mark.parametrize("seed", range(5))
def test_find_the_mistake(seed: int, tmp_path: Path) -> None:
    own = material(Assignment.load("find-the-mistake"), seed, seed)
    packets = read(own.captures[CAPTURE], tmp_path)
    answers = right(own)
    assert answers[4] == (isn(packets, SYN),)
    # What differs from the right conversation is the field in question, of the packet in question.
    from labkit.teach.assign.material import octets

    sound = read(octets(own.trace), tmp_path)
    field = {"seq": "tcp.seq_raw"}.get(answers[2][0])
    if field is not None:
        changed = [one["frame.number"] for one, other in zip(packets, sound, strict=True) if one[field] != other[field]]
        assert answers[1] == (changed[0],)
        assert answers[3][0] == sound[int(changed[0]) - 1][field]


@pytest.mark.parametrize("place", range(8))
def test_middlebox(place: int, tmp_path: Path) -> None:
    own = material(Assignment.load("middlebox"), place, place)
    client, server = (read(own.captures[name], tmp_path) for name in (CLIENT, SERVER))
    answers = right(own)
    first, other = client[0], server[0]
    changed = {
        "nat": first["ip.src"] != other["ip.src"] and first["tcp.srcport"] != other["tcp.srcport"],
        "mss-clamp": first["tcp.options.mss_val"] != other["tcp.options.mss_val"],
        "options-stripped": first["tcp.options.sack_perm"] != other["tcp.options.sack_perm"],
        "sequence-numbers": first["tcp.seq_raw"] != other["tcp.seq_raw"],
    }
    assert [name for name, is_so in changed.items() if is_so] == [answers[1][0]]
    assert answers[2] == (str(int(first["ip.ttl"]) - int(other["ip.ttl"])),)
    assert answers[3] == (isn(client, SYN),)
    assert answers[4] == (sent(client, "192.0.2.10"),)
