"""Captures of a real Linux 6.18, built again from scenarios of a few lines: the genuine sides' header fields are the same."""

from pathlib import Path
from typing import NamedTuple

import pytest
from kernel_captures import ALL, CAPTURES, compared, times

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace

LINUX = "client: {stack: linux-6.18}\nserver: {stack: linux-6.18}\n"

BASIC = f"""name: x
{LINUX}path: {{rtt: 0ms}}
steps:
- client: connect
- client: {{send: 100}}
- client: {{close: {{after: 100ms}}}}
- server: {{close: {{after: 50ms}}}}
"""


class Case(NamedTuple):
    """A captured conversation as a scenario, its genuine sides, and the segments of each that are compared."""

    text: str
    sides: str = "client server"
    real: slice = ALL
    built: dict[str, int] = {}  # noqa: RUF012 -- of a side: how many segments came before the capture began
    """Where the capture begins later than the scenario."""


def scenario(steps: str, path: str = "rtt: 0ms", hosts: str = LINUX) -> str:
    return f"name: x\n{hosts}path: {{{path}}}\nsteps:\n" + "".join(f"- {step}\n" for step in steps.split("; "))


PEER = "{0}: {{timestamps: true, window_scale: 7}}\n{1}: {{stack: linux-6.18}}\n"
"""A script on one side."""
PACED = "rtt: 0ms, to_server: {bandwidth: 4Mbit/s}"
PACED_PEER = "client: {timestamps: true, window_scale: 7, initial_window: 60}\nserver: {stack: linux-6.18}\n"
"""Segments without PSH, one each 3 ms."""
IPV6 = LINUX.replace("client: {", 'client: {address: "fd00::1", ').replace("server: {", 'server: {address: "fd00::2", ')

CASES = {
    "K1-K3-basic.pcap": Case(
        scenario(
            "client: connect; client: {send: 100}; client: {close: {after: 100ms}}; server: {close: {after: 50ms}}"
        )
    ),
    "K37-ip6.pcap": Case(
        scenario(
            "client: connect; client: {send: 100}; client: {close: {after: 50ms}}; server: {abort: {after: 50ms}}",
            hosts=IPV6,
        )
    ),
    "K6-syn-retries.pcap": Case(scenario("client: connect", "to_server: {loss: 100%}"), "client", slice(0, 11)),
    "K8-ecn1-syn-retries.pcap": Case(
        scenario("client: connect", "to_server: {loss: 100%}", "client: {stack: linux-6.18, ecn: true}\n"),
        "client",
        slice(0, 3),
    ),
    "K10-pingpong.pcap": Case(
        scenario(
            "client: connect; client: {send: 100}; server: {send: 50}; "
            + "client: {send: {octets: 100, after: 60ms}}; server: {send: 50}; " * 3
            + "client: {send: {octets: 100, after: 60ms}}; "
            + "client: {send: {octets: 100, after: 250ms}}; " * 2
            + "client: {send: {octets: 100, after: 1250ms}}; " * 3
            + "client: {close: {after: 250ms}}",
            hosts=PEER.format("client", "server"),
        ),
        "server",
        slice(0, 13),
    ),
    "E4-quickack-idle.pcap": Case(
        scenario(
            "client: connect; " + "; ".join(["client: {send: {octets: 100, after: 2ms}}"] * 40),
            hosts=PEER.format("client", "server"),
        ),
        "server",
        slice(0, 40),
    ),
    "K9-delack-1ms.pcap.gz": Case(
        scenario(f"client: connect; client: {{send: {60 * 1448}}}", PACED, PACED_PEER), "server", slice(0, 38)
    ),
    "K9-delack-noread.pcap.gz": Case(
        scenario(f"client: connect; server: pause; client: {{send: {60 * 1448}}}", PACED, PACED_PEER),
        "server",
        slice(0, 20),
    ),
    "K29-tfo.pcap": Case(
        scenario(
            "client: {connect: {octets: 100}}; client: {close: {after: 50ms}}; server: {abort: {after: 20ms}}",
            hosts="client: {stack: linux-6.18, fast_open: request}\nserver: {stack: linux-6.18, fast_open: 08f855056fb6bd1c}\n",
        )
    ),
    "K14-rto-1pkt.pcap": Case(
        scenario(
            "client: connect; client: {send: {octets: 100, after: 100ms}}", "rtt: 0ms, to_server: {lose: [3..30]}"
        ),
        "client",
        slice(0, 9),
        {"client": 2},
    ),
    "K14-rto-5pkt.pcap": Case(
        scenario(
            "client: connect; client: {send: {octets: 7240, after: 100ms}}", "rtt: 0ms, to_server: {lose: [3..14]}"
        ),
        "client",
        built={"client": 2},
    ),
    "E17-orphan.pcap": Case(
        scenario(
            "client: connect; client: {send: {octets: 100, after: 100ms}}; client: close",
            "rtt: 0ms, to_server: {lose: [3..30]}",
        ),
        "client",
        slice(0, 11),
        {"client": 2},
    ),
    "E18-ip6-rto-flowlabel.pcap": Case(
        scenario(
            "client: connect; client: {send: 100}; client: {send: {octets: 3000, after: 150ms}}",
            "rtt: 0ms, to_server: {lose: [4..10]}",
            IPV6,
        ),
        built={"client": 2, "server": 1},
    ),
    "E27-tfo-synretry.pcap": Case(
        scenario(
            "client: {connect: {octets: 100}}",
            "to_server: {loss: 100%}",
            "client: {stack: linux-6.18, fast_open: 08f855056fb6bd1c}\n",
        ),
        "client",
        slice(0, 3),
    ),
    "E37-ecn-kernel.pcap": Case(
        scenario(
            "client: connect; client: {send: 3000}; client: {send: {octets: 100, after: 97ms}}; "
            "client: {close: {after: 2323ms}}; server: {abort: {after: 100ms}}",
            "rtt: 0ms, to_server: {lose: [6, 7, 8]}",
            "client: {stack: linux-6.18, ecn: true, keep_alive: 1s}\nserver: {stack: linux-6.18, ecn: true}\n",
        )
    ),
    "K26-mss0.pcap": Case(
        scenario(
            "client: connect; server: {send: 3000}",
            hosts="client: {timestamps: true, window_scale: 7, mss: 536}\nserver: {stack: linux-6.18}\n",
        ),
        "server",
        slice(0, 7),
    ),
    "K35-iw-cubic.pcap": Case(
        scenario(
            "client: connect; client: {send: 200000}",
            "rtt: 0ms, to_server: {lose: [3..40]}",
            "client: {stack: linux-6.18}\nserver: {window: 4MiB, window_scale: 7, timestamps: true}\n",
        ),
        "client",
        slice(0, 13),
    ),
    "E6-cork.pcap": Case(
        scenario(
            "client: connect; client: {send: {octets: 100, more: true}}; "
            "client: {send: {octets: 2000, more: true, after: 500ms}}; client: {send: {octets: 10, after: 500ms}}"
        )
    ),
    "K36-simopen.pcap": Case(  # the first SYNs are lost; the capture has them, the scenario's end sees its own
        scenario(
            "client: connect; server: {connect: {at_once: true}}; client: {send: {octets: 2, after: 570ms}}; "
            "client: {close: {after: 50ms}}; server: close",
            "rtt: 100us, to_server: {lose: [1]}, to_client: {lose: [1]}",
        ),
        real=slice(1, None),
        built={"client": 1},
    ),
}


@pytest.mark.skipif(not CAPTURES, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.parametrize("name", CASES)
def test_built_traffic_has_the_fields_of_the_kernels(name: str) -> None:
    path = Path(CAPTURES) / "kernel-6.18" / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    case = CASES[name]
    captured, built = Trace.from_capture(path), Scenario.parse(case.text).play()
    for side in case.sides.split():
        real = compared(captured, side, case.real)
        start = case.built.get(side, 0)
        made = compared(built, side, slice(start, start + len(real) if case.real.stop else None))
        assert made == real


@pytest.mark.skipif(not CAPTURES, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.parametrize(
    "name", ["K6-syn-retries", "K14-rto-1pkt", "K14-rto-5pkt", "E17-orphan", "E18-ip6-rto-flowlabel", "E6-cork"]
)
def test_built_traffic_waits_as_long_as_the_kernels(name: str) -> None:
    path = Path(CAPTURES) / "kernel-6.18" / f"{name}.pcap"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    case = CASES[path.name]
    real = times(Trace.from_capture(path), "client")[case.real]
    made = times(Scenario.parse(case.text).play(), "client")[case.built.get("client", 0) :][: len(real)]
    for one, other in zip(made, real, strict=True):
        # The kernel's clock ticks each 4 ms, and rounds each wait up; the model's does not.
        assert one - made[0] == pytest.approx(other - real[0], rel=0.08, abs=12_000_000)
