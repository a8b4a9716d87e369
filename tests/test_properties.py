"""Whatever a scenario says and a path does: the octets arrive, the ends are closed, no rule is broken, and it is the same
again.

Scenarios are made up from a seed, which Hypothesis gives: steps, options, initial numbers that wrap,
and everything that a path can do to packets.
"""

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from labkit import verify as public_verify
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.capture import create
from labkit.errors import ScenarioError
from labkit.packet.linktype import ETHERNET
from labkit.tcp.endpoint import Endpoint
from labkit.tcp.state import State

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A seed cannot be made simpler; the scenario that it stands for is shown."""
ISNS = ["random", 0, 1, 2**32 - 1, 2**32 - 50, 2**32 - 3000]


def maybe(rng: Random, chance: float, text: str) -> list[str]:
    return [text] if rng.random() < chance else []


def some(rng: Random, most: int) -> str:
    """Numbers of packets."""
    return str(sorted({rng.randint(1, most) for _ in range(3)}))


def a_side(rng: Random) -> str:
    found = [
        f"isn: {rng.choice(ISNS)}",
        *maybe(rng, 0.4, "sack: false"),
        *maybe(rng, 0.4, "timestamps: true"),
        *maybe(rng, 0.4, f"window_scale: {rng.choice([0, 2, 7])}"),
        *maybe(rng, 0.3, f"window: {rng.choice([2000, 5000, 20000, 65535])}"),
        *maybe(rng, 0.3, f"mss: {rng.choice([88, 536, 1000])}"),
        *maybe(rng, 0.2, "nagle: false"),
        *maybe(rng, 0.2, f"delayed_ack: {rng.choice(['off', '200ms'])}"),
        *maybe(rng, 0.3, "ecn: true"),
        *maybe(rng, 0.3, f"congestion: {rng.choice(['off', 'reno', 'cubic'])}"),
        *maybe(rng, 0.2, "fast_open: request"),
    ]
    return f"{{{', '.join(found)}}}"


def a_way(rng: Random) -> str:
    found = [
        *maybe(rng, 0.3, f"loss: {rng.choice(['1%', '5%'])}"),
        *maybe(rng, 0.1, "burst: {chance: 2%, length: 3}"),
        *maybe(rng, 0.2, f"lose: {some(rng, 20)}"),
        *maybe(rng, 0.2, f"duplicate: {some(rng, 20)}"),
        *maybe(rng, 0.2, f"late: {{{rng.randint(1, 20)}: {rng.randint(1, 60)}ms}}"),
        *maybe(rng, 0.2, f"mark: {some(rng, 20)}"),
        *maybe(rng, 0.2, "jitter: 5ms"),
        *maybe(rng, 0.2, f"bandwidth: 5Mbit/s, queue: {rng.randint(3, 20)}, mark_queue: 2"),
    ]
    return f"{{{', '.join(found)}}}"


def a_step(rng: Random, side: str) -> list[str]:
    return rng.choice(
        [
            [f"{side}: {{send: {rng.choice([1, 99, 1460, 5000, 20000])}}}"],
            [f"{side}: {{send: {{octets: 1..3000, after: 10ms}}}}"],
            [f"{side}: {{wait: 30ms}}"],
            [f"{side}: {{send: {{octets: 50, urgent: true, at_once: true}}}}"],
            [f"{side}: {{pause: {{at_once: true}}}}", f"{side}: {{resume: {{after: 300ms, at_once: true}}}}"],
        ]
    )


def an_end(rng: Random, side: str, peer: str) -> list[str]:
    return rng.choice(
        [
            [f"{side}: close", f"{peer}: close"],
            [f"{side}: close", f"{peer}: {{close: {{after: 5ms}}}}"],
            [f"{side}: {{close: {{at_once: true}}}}", f"{peer}: {{close: {{at_once: true}}}}"],
            [f"{side}: close", f"{peer}: {{send: 3000}}", f"{peer}: close"],
            [f"{side}: {{abort: {{after: 1s}}}}"],
        ]
    )


def the_worst_way(rng: Random) -> str:
    late = {rng.randint(1, 25): rng.choice([1, 30, 90, 250, 700, 1500]) for _ in range(5)}
    found = [
        *maybe(rng, 0.7, f"loss: {rng.choice([5, 15, 30])}%"),
        *maybe(rng, 0.4, f"duplicate: {some(rng, 25)}"),
        *maybe(rng, 0.3, f"jitter: {rng.choice([5, 50, 300])}ms"),
        *maybe(rng, 0.5, f"delay: {rng.choice([1, 20, 200, 800])}ms"),
        *maybe(rng, 0.6, f"late: {{{', '.join(f'{number}: {delay}ms' for number, delay in sorted(late.items()))}}}"),
    ]
    return f"{{{', '.join(found)}}}"


def the_worst_scenario(rng: Random) -> str:
    """A path that loses, delays, reorders and duplicates, over IPv6, where no identification shows the order."""
    sides = rng.sample(["client", "server"], 2)
    steps = ["client: connect", "client: {wait: 1ms}", "server: {wait: 1ms}"]
    for _ in range(rng.randint(0, 4)):
        steps += a_step(rng, rng.choice(sides))
    steps += rng.choice(
        [an_end(rng, *sides), [f"{sides[0]}: {{send: 3000}}", f"{sides[0]}: {{abort: {{at_once: true}}}}"]]
    )
    return "\n".join(
        [
            "name: worst",
            f"capture: {rng.choice(['client', 'server'])}",
            f'client: {{address: "2001:db8::1", {a_side(rng)[1:]}',
            f"server: {a_side(rng)}",
            (
                f"path: {{rtt: {rng.choice([20, 400, 1600])}ms, to_server: {the_worst_way(rng)}, "
                f"to_client: {the_worst_way(rng)}}}"
            ),
            "steps:",
            *(f"  - {step}" for step in steps),
        ]
    )


def a_scenario(rng: Random) -> str:
    sides = rng.sample(["client", "server"], 2)
    steps = [f"client: {rng.choice(['connect', '{connect: {octets: 500}}'])}"]
    # What comes at once comes to an end that is connected.
    steps += ["client: {wait: 1ms}", "server: {wait: 1ms}"]
    for _ in range(rng.randint(0, 4)):
        steps += a_step(rng, rng.choice(sides))
    steps += an_end(rng, *sides)
    ways = [a_way(rng), a_way(rng)]
    # IPv6 has no identification, by which an ACK that comes late is told from one that takes another back.
    address = "" if "late" in "".join(ways) else rng.choice(["", 'address: "2001:db8::1", '])
    return "\n".join(
        [
            "name: random",
            f"capture: {rng.choice(['client', 'server'])}",
            f"client: {{{address}{a_side(rng)[1:]}",
            f"server: {a_side(rng)}",
            f"path: {{rtt: {rng.choice(['0ms', '20ms', '150ms'])}, to_server: {ways[0]}, to_client: {ways[1]}}}",
            "steps:",
            *(f"  - {step}" for step in steps),
        ]
    )


class Watched(Endpoint):
    """An endpoint that remembers what its application has sent and read."""

    __slots__ = ("got", "said")

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.said, self.got = b"", b""

    def send(self, data: bytes, now: int, urgent: bool = False, more: bool = False) -> None:
        super().send(data, now, urgent, more)
        self.said += data

    def read(self, limit: int | None = None) -> bytes:
        taken = super().read(limit)
        self.got += taken
        return taken


@contextmanager
def watched():
    """The endpoints of the scenarios that are played meanwhile, in the order in which they come to be."""
    made: list[Watched] = []

    def make(*arguments, **options) -> Watched:
        made.append(Watched(*arguments, **options))
        return made[-1]

    with patch("labkit.build.scenario.setup.Endpoint", make):
        yield made


def octets(trace: Trace) -> BytesIO:
    stream = BytesIO()
    trace.write(stream, format="pcapng")
    stream.seek(0)
    return stream


@pytest.mark.slow
@settings(max_examples=150, phases=PHASES)
@given(st.integers(0, 2**64))
def test_whatever_happens_the_octets_arrive_and_no_rule_is_broken(seed: int) -> None:
    text = a_scenario(Random(seed))
    with watched() as ends:
        try:
            trace = Scenario.parse(text).play(seed)
        except ScenarioError as error:
            # All SYNs were lost, or all answers: that can be, where losses are left to chance.
            assert "never begins" in str(error), text
            assert "loss" in text or "burst" in text, text
            return
    client, server = ends
    # Both applications have what the other has sent, unless one of them has given up.
    if "abort" in text:
        assert server.said.startswith(client_got := client.got), text
        assert client.said.startswith(server.got), text
        assert len(client_got) <= len(server.said)
        # The reset may be lost, and who has aborted does not send it again.
        assert State.CLOSED in {client.state, server.state}, text
    else:
        assert (client.got, server.got) == (server.said, client.said), text
        # TIME-WAIT is over by then.
        assert (client.state, server.state) == (State.CLOSED, State.CLOSED), text
    # Who gives up sends nothing again: what was lost before the point of capture has never been there.
    grave = Severity.ERROR if "abort" in text else Severity.WARNING
    found = verify(octets(trace), RFC9293).findings
    assert [str(each) for each in found if each.severity >= grave] == [], text


@pytest.mark.slow
@settings(max_examples=150, phases=PHASES)
@given(st.integers(0, 2**64))
def test_over_the_worst_path_nobody_is_accused(seed: int) -> None:
    text = the_worst_scenario(Random(seed))
    try:
        trace = Scenario.parse(text).play(seed)
    except ScenarioError as error:
        assert "never begins" in str(error) or "connection does not exist" in str(error), text
        return
    found = public_verify(octets(trace)).findings
    assert [str(each) for each in found if each.severity == Severity.ERROR] == [], text


@settings(max_examples=15, phases=PHASES)
@given(st.integers(0, 2**64))
def test_the_same_seed_gives_the_same_file(seed: int) -> None:
    text = a_scenario(Random(seed))
    files = []
    for _ in range(2):
        try:
            files.append(octets(Scenario.parse(text).play(seed)).getvalue())
        except ScenarioError as error:
            files.append(str(error))
    assert files[0] == files[1]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_nothing_malformed(tmp_path: Path) -> None:
    target = tmp_path / "all.pcapng"
    with create(target, link=ETHERNET) as writer:
        for number in range(30):
            trace = Scenario.parse(a_scenario(Random(number))).play(number)
            # Each between ports of its own, so that they are conversations of their own.
            ends = tuple(
                replace(each, client=replace(each.client, port=1000 + number), server=replace(each.server, port=9))
                for each in trace.connections
            )
            for time, frame, _ in replace(trace, connections=ends).frames():
                writer.write(time, frame)
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    wrong = '_ws.malformed || tcp.checksum.status == "Bad" || ip.checksum.status == "Bad" || tcp.option.len.invalid'
    command = ["tshark", "-n", *checks, "-r", str(target), "-Y", wrong]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
