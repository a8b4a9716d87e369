"""Small conversations in which every fault must be found: with which TCP options, over which IP, and who speaks first.

Each is played like a shipped scenario. The SYNs without an MSS option are made by leaving it out of the finished trace:
the endpoints send what its default allows.
"""

from dataclasses import replace
from functools import cache
from itertools import product

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.tcp.segment import SYN

MSS = {"ipv4": 536, "ipv6": 1220}
SIDES = {
    "none": "sack: false, mss: {mss}",
    "mss": "sack: false, mss: {mss}",
    "all": "sack: true, window_scale: 7, timestamps: true, mss: {mss}",
}
ADDRESSES = {"ipv4": ("192.0.2.10", "192.0.2.20"), "ipv6": ("2001:db8::10", "2001:db8::20")}

NUMBERS = {"low": (1000, 5000), "wraps": (2**32 - 60, 2**32 - 70)}
"""The ISNs of client and server. Where a client opens several connections, they are random."""

TALK = """
steps:
  - client: connect
  - {first}: {{send: 99}}
  - {second}: {{send: 119}}
  - {first}: {{send: 3000}}
  - {second}: {{send: 3000}}
  - {first}: close
  - {second}: {{close: {{after: 5ms}}}}
"""
RESET = """
steps:
  - client: connect
  - {first}: {{send: 99}}
  - {second}: {{send: 119}}
  - {first}: abort
"""
LOSS = """
steps:
  - client: connect
  - {first}: {{send: 99}}
  - {second}: {{send: 8000}}
  - {first}: close
  - {second}: {{close: {{after: 5ms}}}}
"""
REUSE = """
steps:
  - client: connect
  - {first}: {{send: 99}}
  - {second}: {{send: 119}}
  - server: {{close: {{after: 100ms}}}}
  - client: close
  - client: {{connect: {{after: 1s}}}}
  - {first}: {{send: 99}}
  - {second}: {{send: 119}}
  - server: {{close: {{after: 100ms}}}}
  - client: close
"""
SEVERAL = """
conversations: {{count: 3, clients: {client}, ports: 40000..60000, arrivals: every 1s}}
steps:
  - client: connect
  - {first}: {{send: 99}}
  - {second}: {{send: 119}}
  - client: close
  - server: {{close: {{after: 5ms}}}}
"""
REFUSED = """
steps:
  - client: connect
"""
SHAPES = {"talk": TALK, "reset": RESET, "loss": LOSS, "reuse": REUSE, "several": SEVERAL, "refused": REFUSED}


AXES = (tuple(SIDES), tuple(ADDRESSES), ("client", "server"), ("low", "wraps"))
"""The kinds of conversations: options, IP, who sends data first, ISNs."""

WORDS = {
    "none": "without options",
    "mss": "with MSS alone",
    "all": "with all options",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "client": "client first",
    "server": "server first",
    "low": "low ISNs",
    "wraps": "ISNs that wrap",
}


@cache
def bases() -> tuple[str, ...]:
    """The names of all bases: a shape and a kind."""
    return tuple("-".join(each) for each in product(SHAPES, *AXES))


def kind(name: str) -> tuple[str, ...]:
    """The kind of a base."""
    return tuple(name.split("-")[1:])


@cache
def base(name: str) -> Trace:
    """The trace of a base."""
    shape, options, ip, first, isn = name.split("-")
    client, server = ADDRESSES[ip]
    second = "server" if first == "client" else "client"
    common = SIDES[options].format(mss=MSS[ip])
    numbers = NUMBERS[isn] if shape not in ("reuse", "several") else ("random", "random")
    own = {
        "client": f"isn: {numbers[0]}" + (f", address: '{client}', port: 40000" if shape != "several" else ""),
        "server": f"isn: {numbers[1]}, address: '{server}', port: 80"
        + (", listen: false" if shape == "refused" else ""),
    }
    loss = ", to_client: {lose: [4]}, to_server: {lose: [6]}" if shape == "loss" else ""
    steps = SHAPES[shape].format(first=first, second=second, client=f"{client}/{32 if ip == 'ipv4' else 128}")
    trace = Scenario.parse(
        "name: base\n"
        "summary: A small conversation\n"
        f"path: {{rtt: 20ms{loss}}}\n"
        f"client: {{{own['client']}, {common}}}\n"
        f"server: {{{own['server']}, {common}}}\n{steps}"
    ).play(3)
    if options != "none":
        return trace
    records = [
        replace(each, segment=each.segment.with_(options=())) if each.segment.ctl & SYN else each
        for each in trace.records
    ]
    return replace(trace, records=records)
