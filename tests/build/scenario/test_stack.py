"""Tests of sides that look like real hosts: their handshakes and headers, and the timing of Linux."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.record import Record
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.errors import ScenarioError
from labkit.tcp import options as opt
from labkit.tcp import stacks
from labkit.tcp.segment import ACK, ECE, FIN, PSH, RST, SYN

EXCHANGE = """steps:
- client: connect
- client: {send: 100}
- server: {send: 3000}
- client: {close: {after: 100ms}}
- server: {close: {after: 100ms}}
"""


def play(stack: str, steps: str = EXCHANGE, client: str = "", server: str = "", more: str = "") -> Trace:
    text = f"name: x\nclient: {{stack: {stack}{client}}}\nserver: {{stack: {stack}{server}}}\n{more}{steps}"
    trace = Scenario.parse(text).play()
    worse = [each for each in Verifier().run(trace.file_frames()).findings if each.severity > Severity.NOTE]
    assert worse == []
    return trace


def kinds(record: Record) -> str:
    return " ".join(type(option).__name__ for option in record.segment.options)


def of(trace: Trace, sender: str) -> list[Record]:
    return [record for record in trace if record.sender == sender]


@pytest.mark.parametrize(
    ("stack", "options", "windows", "ttl"),
    [
        ("rfc", "Mss Nop Nop SackPermitted", (65535, 65535), 64),
        ("linux-6.18", "Mss SackPermitted Timestamps Nop WindowScale", (64240, 65160), 64),
        ("linux-5.15", "Mss SackPermitted Timestamps Nop WindowScale", (64240, 65160), 64),
        ("freebsd-14", "Mss Nop WindowScale SackPermitted Timestamps", (65535, 65535), 64),
        ("windows-11", "Mss Nop WindowScale Nop Nop SackPermitted", (64240, 65535), 128),
        ("macos-14", "Mss Nop WindowScale Nop Nop Timestamps SackPermitted End End", (65535, 65535), 64),
        ("minimal", "Mss", (4096, 4096), 64),
    ],
)
def test_handshakes(stack: str, options: str, windows: tuple[int, int], ttl: int) -> None:
    trace = play(stack)
    syn, answer = trace[0], trace[1]
    assert kinds(syn) == kinds(answer) == options
    assert (syn.segment.window, answer.segment.window) == windows
    assert trace.client.ttl == trace.server.ttl == ttl
    assert len(opt.pack(syn.segment.options)) % 4 == 0


def test_ipv6_windows_of_linux() -> None:
    trace = play("linux-6.18", client=', address: "2001:db8::1"')
    assert [record.segment.window for record in trace[:3]] == [64800, 64260, 64]


def test_a_side_sets_its_keys_over_those_of_the_stack() -> None:
    trace = play("linux-6.18", client=", timestamps: false, ttl: 9, port: 5, window: 3000, window_scale: off")
    assert kinds(trace[0]) == "Mss Nop Nop SackPermitted"
    assert (trace.client.ttl, trace.client.port) == (9, 5)
    # As Linux does: the window has whole segments, and no scale rounds it.
    assert [record.segment.window for record in of(trace, "client")[:2]] == [2920, 2920]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("stack: linux-6.1", "client.stack: 'linux-6.1' is not a stack; expected one of rfc, freebsd-14"),
        ("stack: [1]", "client.stack"),
        ("stack: 7", "client.stack: '7' is not a stack"),
    ],
)
def test_unknown_stacks(given: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(message)):
        Scenario.parse(f"name: x\nclient: {{{given}}}\nsteps:\n- client: connect\n")


@pytest.mark.parametrize("stack", [name for name in stacks.names() if stacks.load(name).header.ports])
def test_ephemeral_ports(stack: str) -> None:
    header = stacks.load(stack).header
    assert header.ports
    low, high = header.ports
    scenario = Scenario.parse(f"name: x\nclient: {{stack: {stack}}}\nsteps:\n- client: connect\n")
    ports = {scenario.play(seed).client.port for seed in range(20)}
    assert len(ports) > 10
    assert all(low <= port <= high and (port - low) % header.port_step == 0 for port in ports)


def idents(trace: Trace, sender: str) -> list[int]:
    return [(record.ident or 0) & 0xFFFF for record in of(trace, sender)]


def test_identifications_of_linux() -> None:
    # What the kernel's captures show: 0 on the SYN ACK and in TIME-WAIT, else each socket counts.
    trace = play("linux-6.18")
    client, server = idents(trace, "client"), idents(trace, "server")
    assert client[-1] == server[0] == 0
    for found in (client[:-1], server[1:]):
        assert found == [(found[0] + place) & 0xFFFF for place in range(len(found))]
        assert found[0] not in (0, 1)


def test_a_reset_without_a_connection_has_no_identification() -> None:
    trace = play("linux-6.18", "steps:\n- client: connect\n", server=", listen: false")
    assert idents(trace, "server") == [0]


def test_identifications_of_others() -> None:
    assert set(idents(play("macos-14"), "client")) == {0}
    found = idents(play("windows-11"), "client")
    assert found == [(found[0] + place) & 0xFFFF for place in range(len(found))]
    # A fragmented datagram needs an identification (RFC 6864 section 4.3).
    assert 0 not in idents(play("macos-14", more="path: {fragment: 576}\n"), "client")


def test_flow_labels() -> None:
    lost = "path: {to_server: {lose: [1, 4, 5]}}\n"  # packet 5 is a loss probe, which keeps the label
    labels = [record.label for record in of(play("linux-6.18", client=', address: "::1"', more=lost), "client")]
    assert len(set(labels)) == 3  # the first, and one after each of two timeouts
    assert all(0 < label < 1 << 20 for label in labels)
    assert len({record.label for record in of(play("freebsd-14", client=', address: "::1"'), "client")}) == 1
    assert {record.label for record in play("rfc", client=', address: "::1"')} == {0}


def test_scapy_and_the_stamp_build_the_same_packets() -> None:
    for client in ("", ', address: "::1"'):
        trace = play("linux-6.18", client=client)
        assert [bytes(each) for each in trace.packets()] == [frame.data for frame in trace.file_frames()]


P0F = {
    "linux-6.18": "Linux",
    "linux-5.15": "Linux",
    "freebsd-14": "FreeBSD",
    "windows-11": "Windows",
    "macos-14": "Mac OS X",
}
"""What p0f's database calls each stack. It is of 2012: for newer versions it knows the system only. It has no `minimal`, which it
takes for a Linux without options, and none of `rfc`, whose options are those of Windows XP."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("p0f") is None, reason="the program 'p0f' is missing")
@pytest.mark.parametrize("stack", P0F)
def test_p0f_knows_the_system(stack: str, tmp_path: Path) -> None:
    play(stack).write(tmp_path / "a.pcap")
    done = subprocess.run(
        ["p0f", "-f", "/etc/p0f/p0f.fp", "-r", tmp_path / "a.pcap"], capture_output=True, text=True, check=True
    )
    syn = re.search(r"\(syn\).*?os += ([^\n]*)", done.stdout, re.DOTALL)
    assert syn
    assert syn[1].startswith(P0F[stack])


# The timing of Linux 6.18, against what its captures show.


def test_a_syn_is_resent_after_equal_times_at_first() -> None:
    trace = play("linux-6.18", "steps:\n- client: connect\n", more="path: {to_server: {loss: 100%}}\n")
    at = [record.time // 1_000_000_000 for record in trace]
    assert [after - before for before, after in pairwise(at)] == [1, 1, 1, 1, 1, 2, 4, 8, 16, 32]


def test_only_the_first_syn_asks_for_ecn() -> None:
    lost = "path: {to_server: {lose: [1]}}\n"
    trace = play("linux-6.18", "steps:\n- client: connect\n", client=", ecn: true", server=", ecn: true", more=lost)
    assert [bool(record.segment.ctl & ECE) for record in trace][:3] == [True, False, False]


def test_first_segments_are_acknowledged_each() -> None:
    steps = f"steps:\n- client: connect\n- client: {{send: {40 * 1448}}}\n"
    paced = "path: {rtt: 1ms, to_server: {bandwidth: 4Mbit/s}}\nclient: {timestamps: true, initial_window: 60}\n"
    trace = Scenario.parse(f"name: x\nserver: {{stack: linux-6.18}}\n{paced}{steps}").play()
    acks = [(record.segment.ack - trace.client_isn - 1) // 1448 for record in of(trace, "server")[1:]]
    assert acks[:22] == list(range(1, 23))
    assert acks[22:] == list(range(24, 41, 2))


def test_a_segment_that_ends_a_write_is_acknowledged_when_it_is_read() -> None:
    steps = "steps:\n- client: connect\n" + "- client: {send: {octets: 1448, after: 3ms, at_once: true}}\n" * 40
    trace = play("linux-6.18", steps, more="path: {rtt: 1ms}\n")
    acks = [(record.segment.ack - trace.client_isn - 1) // 1448 for record in of(trace, "server")[1:]]
    assert acks == list(range(1, 41))


def test_what_others_have_overtaken_is_sent_again_before_the_timeout() -> None:
    steps = "steps:\n- client: connect\n- client: {send: {octets: 4000, after: 9ms}}\n"
    trace = play("linux-6.18", steps, more="path: {rtt: 20ms, to_server: {lose: [3]}}\n")
    first, again = (
        record
        for record in of(trace, "client")
        if record.segment.seq == trace.client_isn + 1 and record.segment.payload
    )
    assert again.why == "retransmission-fast"
    assert 25 <= (again.time - first.time) / 1e6 <= 30


def test_a_retransmission_that_is_lost_is_sent_again_before_the_timeout() -> None:
    steps = "steps:\n- client: connect\n- client: {send: {octets: 40kB, after: 9ms}}\n"
    trace = play("linux-6.18", steps, more="path: {rtt: 20ms, to_server: {lose: [4, 17]}}\n")
    sent = [record for record in of(trace, "client") if record.segment.seq == trace.client_isn + 1449]
    assert [record.why for record in sent] == ["data", "retransmission-fast", "retransmission-fast"]
    assert (sent[2].time - sent[1].time) / 1e6 <= 45


def test_keep_alives_without_an_answer_end_with_a_reset() -> None:
    alive = ", keep_alive: 1s, keep_alive_interval: 1s, keep_alive_probes: 2"
    steps = "steps:\n- client: connect\n- client: {wait: 5s}\n"
    trace = play("linux-6.18", steps, client=alive, more="path: {to_server: {lose: [3..9]}}\n")
    assert [record.why for record in of(trace, "client")[2:]] == ["keep-alive", "keep-alive", "rst"]


def test_an_original_after_its_retransmission_is_reported() -> None:
    steps = "steps:\n- client: connect\n- client: {send: {octets: 100, after: 9ms}}\n- client: {wait: 900ms}\n"
    trace = play("linux-6.18", steps, more="path: {rtt: 10ms, to_server: {late: {3: 400ms}}}\n")
    isn = trace.client_isn
    assert of(trace, "server")[-1].segment.option(opt.Sack) == opt.Sack(((isn + 1, isn + 101),))


def test_second_segments_wait_while_nobody_reads() -> None:
    steps = "steps:\n- client: connect\n- server: pause\n"
    steps += "- client: {send: {octets: 1448, after: 3ms, at_once: true}}\n" * 42
    trace = play("linux-6.18", steps, more="path: {rtt: 1ms}\n")
    acks = [record.time / 1e6 for record in of(trace, "server")[21:]]
    assert len(acks) == 2
    assert 32 <= acks[1] - acks[0] <= 45


def test_an_answer_carries_the_acknowledgement_once_there_was_one() -> None:
    steps = "steps:\n- client: connect\n" + "- client: {send: {octets: 100, after: 10ms}}\n- server: {send: 50}\n" * 3
    trace = play("linux-6.18", steps + "- client: {send: {octets: 100, after: 10ms}}\n")
    server = of(trace, "server")[1:]
    # The first request is acknowledged before its answer; the last one, which has none, after 40 ms.
    assert [len(record.segment.payload) for record in server] == [0, 50, 50, 50, 0]
    assert server[-1].why == "delayed-ack"


def test_the_acknowledgement_of_a_fin_waits_once_data_has_arrived() -> None:
    for data, late in (("", 0), ("- client: {send: 9}\n", 40)):
        steps = f"steps:\n- client: connect\n{data}- client: {{close: {{after: 99ms}}}}\n- server: {{close: {{after: 90ms}}}}\n"
        trace = play("linux-6.18", steps)
        fin = next(record for record in trace if record.segment.ctl & FIN)
        answer = next(record for record in of(trace, "server") if record.time > fin.time)
        assert answer.segment.ctl == ACK
        assert (answer.time - fin.time) // 1_000_000 == 20 + late


def test_bursts_end_with_push() -> None:
    # Over a short round trip bursts are half of the window, over a long one what a millisecond's pace sends.
    for rtt, pushed in (("100us", [5, 10]), ("10ms", [2, 4, 6, 8, 10])):
        steps = "steps:\n- client: connect\n- client: {send: 200kB}\n"
        trace = play("linux-6.18", steps, more=f"path: {{rtt: {rtt}}}\n")
        data = [record.segment for record in of(trace, "client") if record.segment.payload]
        assert [place for place, segment in enumerate(data[:10], 1) if segment.ctl & PSH] == pushed


def test_a_tail_is_probed_before_the_timeout() -> None:
    steps = "steps:\n- client: connect\n- client: {send: {octets: 7000, after: 9ms}}\n"
    trace = play("linux-6.18", steps, more="path: {rtt: 2ms, to_server: {lose: [6, 7]}}\n")
    probe = next(record for record in trace if record.why == "tail-loss-probe")
    sent = [record for record in of(trace, "client") if record.segment.seq == probe.segment.seq]
    assert sent[-1] is probe
    assert 5 <= (probe.time - sent[0].time) / 1e6 <= 9


def test_timeouts_begin_at_200_ms_and_merge_data_and_fin() -> None:
    steps = "steps:\n- client: connect\n- client: {send: {octets: 100, after: 9ms}}\n- client: close\n"
    trace = play("linux-6.18", steps, more="path: {rtt: 1ms, to_server: {lose: [3, 4, 5, 6]}}\n")
    data = [record for record in of(trace, "client") if record.why == "retransmission-rto"]
    first = next(record for record in of(trace, "client") if record.segment.payload)
    assert 200 <= (data[0].time - first.time) / 1e6 <= 217
    assert data[0].segment.ctl & FIN
    assert len(data[0].segment.payload) == 100


def test_timeouts_double_up_to_two_minutes() -> None:
    lost = ", ".join(map(str, range(3, 40)))
    steps = "steps:\n- client: connect\n- client: {send: {octets: 100, after: 9ms}}\n- client: {wait: 20min}\n"
    trace = play("linux-6.18", steps, more=f"path: {{to_server: {{lose: [{lost}]}}}}\n")
    times = [each.time // 1_000_000_000 for each in of(trace, "client") if each.segment.payload]
    assert [later - sooner for sooner, later in pairwise(times)][-6:] == [113, 120, 120, 120, 120, 120]
    assert len(times) == 1 + 1 + 15  # the segment, a tail loss probe, and 15 timeouts (tcp_retries2)


@pytest.mark.parametrize("window", [100, 500, 1000, 2000])
def test_a_buffer_smaller_than_a_segment_opens_again_once_it_is_read(window: int) -> None:
    steps = "steps:\n- client: connect\n- client: {send: 20000}\n- client: close\n- server: close\n"
    trace = play("linux-6.18", steps, server=f", window: {window}")
    assert sum(len(each.segment.payload) for each in of(trace, "client")) == 20000
    # It takes a round trip for each window, and no probe.
    assert trace[len(trace) - 1].time < (20000 // (window // 2) + 5) * 60_000_000


def test_a_closed_window_is_probed_by_old_numbers() -> None:
    steps = (
        "steps:\n- client: connect\n- server: pause\n- client: {send: 9000}\n"
        "- server: {resume: {after: 3s, at_once: true}}\n- server: {receive: 9000}\n"
    )
    trace = play("linux-6.18", steps, server=", window: 4kB, window_scale: off")
    probes = [record for record in of(trace, "client") if record.why == "zero-window-probe"]
    assert len(probes) >= 3
    for record in probes:
        assert record.segment.payload == b""
    gaps = [(b.time - a.time) / 1e9 for a, b in pairwise(probes)]
    assert gaps[0] == pytest.approx(2 * 0.22, abs=0.1)


def test_the_reset_of_a_connection_has_its_options_and_window() -> None:
    trace = play("linux-6.18", "steps:\n- client: connect\n- client: {abort: {after: 9ms}}\n")
    reset = trace[-1].segment
    assert reset.ctl == RST | ACK
    assert reset.window == 63
    assert kinds(trace[-1]) == "Nop Nop Timestamps"


def test_a_simultaneous_open_ends_with_reports_of_the_syn() -> None:
    steps = "steps:\n- client: connect\n- server: {connect: {at_once: true}}\n"
    trace = play("linux-6.18", steps)
    last = {record.sender: record.segment.option(opt.Sack) for record in trace}
    for own, peer in (("client", trace.server_isn), ("server", trace.client_isn)):
        assert last[own] == opt.Sack(((peer, (peer + 1) & 0xFFFFFFFF),))
    # Both have a socket, so that their SYN ACKs have identifications.
    assert all(record.ident for record in trace if record.segment.ctl & (SYN | ACK) == SYN | ACK)


def test_segments_beyond_a_hole_are_acknowledged_together_after_three() -> None:
    trace = play(
        "linux-6.18",
        "steps:\n- client: connect\n- client: {send: {octets: 40kB, after: 9ms}}\n",
        client=", initial_window: 40",
        more="path: {rtt: 20ms, to_server: {lose: [3]}}\n",
    )
    early = [record for record in of(trace, "server") if record.segment.option(opt.Sack)]
    assert len(early) == 4
