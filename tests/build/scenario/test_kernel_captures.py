"""Captures of a real Linux 6.18, built again from scenarios of a few lines: the genuine sides' header fields are the same."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

CAPTURES = os.environ.get("LABKIT_CAPTURES", "")
LINUX = "client: {stack: linux-6.18}\nserver: {stack: linux-6.18}\n"

BASIC = f"""name: x
{LINUX}path: {{rtt: 0ms}}
steps:
- client: connect
- client: {{send: 100}}
- client: {{close: {{after: 100ms}}}}
- server: {{close: {{after: 50ms}}}}
"""

CASES = {
    "K1-K3-basic.pcap": (BASIC, "both", slice(None)),
    "K37-ip6.pcap": (
        BASIC.replace("client: {stack", 'client: {address: "fd00::1", stack').replace(
            "- client: {close: {after: 100ms}}\n- server: {close: {after: 50ms}}",
            "- client: {close: {after: 50ms}}\n- server: {abort: {after: 50ms}}",
        ),
        "both",
        slice(None),
    ),
    "K6-syn-retries.pcap": (
        f"name: x\n{LINUX}path: {{to_server: {{loss: 100%}}}}\nsteps:\n- client: connect\n",
        "client",
        slice(0, 11),
    ),
    "K8-ecn1-syn-retries.pcap": (
        "name: x\nclient: {stack: linux-6.18, ecn: true}\npath: {to_server: {loss: 100%}}\nsteps:\n- client: connect\n",
        "client",
        slice(0, 3),
    ),
    "K10-pingpong.pcap": (
        "name: x\nclient: {timestamps: true, window_scale: 7}\nserver: {stack: linux-6.18}\npath: {rtt: 0ms}\nsteps:\n"
        "- client: connect\n- client: {send: 100}\n- server: {send: 50}\n"
        + "- client: {send: {octets: 100, after: 60ms}}\n- server: {send: 50}\n"
        * 3
        + "- client: {send: {octets: 100, after: 60ms}}\n- client: {send: {octets: 100, after: 250ms}}\n"
        "- client: {send: {octets: 100, after: 250ms}}\n"
        + "- client: {send: {octets: 100, after: 1250ms}}\n" * 3
        + "- client: {close: {after: 250ms}}\n",
        "server",
        slice(0, 13),
    ),
}
"""The scenario, the genuine sides, and the segments of each side that are compared."""


class Fields(NamedTuple):
    """What a segment must have in common with the captured one."""

    ctl: int
    seq: int
    ack: int
    octets: int
    window: int
    options: str
    ident: str
    ttl: int


def fields(trace: Trace, sender: str, ttl: Callable[[int], int]) -> list[Fields]:
    found = []
    last = 0
    for place, record in enumerate(trace.records):
        if record.sender != sender or record.connection:
            continue
        segment = record.segment
        ident = ident_of(trace, place)
        step = "0" if not ident else "first" if not last else str((ident - last) & 0xFFFF)
        last = ident or last
        words = " ".join(
            f"{option}" if isinstance(option, opt.Mss | opt.WindowScale) else type(option).__name__
            for option in segment.options
        )
        seq, ack = trace.relative(record)
        octets = len(segment.payload)
        ctl = segment.ctl & (SYN | ACK | FIN | RST | PSH | 0xC0)
        found.append(Fields(ctl, seq, ack, octets, segment.window, words, step, ttl(place)))
    return found


def ident_of(trace: Trace, place: int) -> int:
    if trace.client.ip.version == 6:
        return 0
    return (trace.records[place].ident or 0) & 0xFFFF


@pytest.mark.skipif(not CAPTURES, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.parametrize("name", CASES)
def test_built_traffic_has_the_fields_of_the_kernels(name: str) -> None:
    path = Path(CAPTURES) / "kernel-6.18" / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    text, sides, part = CASES[name]
    captured, built = Trace.from_capture(path), Scenario.parse(text).play()
    for side in ("client", "server") if sides == "both" else (sides,):
        real = fields(captured, side, lambda place: hops(captured, place))[part]
        made = fields(built, side, lambda place: hops(built, place))[part]
        assert made == real


def hops(trace: Trace, place: int) -> int:
    """The TTL or hop limit of a record's packet."""
    data = trace.records[place].frames[0].data if trace.records[place].frames else trace.file_frames()[place].data
    return data[21] if data[14] >> 4 == 6 else data[22]
