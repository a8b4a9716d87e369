"""The states of handwritten traces."""

from pathlib import Path

from labkit.build.faults import inject
from labkit.build.script import parse
from labkit.cli import run
from labkit.report.trace_states import with_states
from labkit.tcp.state import State

RESET = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n> P. 1:5(4) ack 1\n> R. 5:5(0) ack 1\n"


def test_a_handshake_ends_in_established() -> None:
    trace = with_states(parse("> S 7:7(0)\n< S. 9:9(0) ack 8\n> . 8:8(0) ack 10\n"))
    assert trace.records[-1].client == (State.ESTABLISHED, State.ESTABLISHED)
    assert trace.records[-1].server == (State.SYN_RECEIVED, State.ESTABLISHED)


def test_each_connection_has_its_own_states() -> None:
    trace = with_states(
        parse(
            "# 192.0.2.1:1 > 192.0.2.2:2\n> S 0:0(0)\n"
            "# [2001:db8::1]:3 > [2001:db8::2]:4\n> S 0:0(0)\n< R. 0:0(0) ack 1\n"
            "# 192.0.2.1:1 > 192.0.2.2:2\n< R. 0:0(0) ack 1\n"
        )
    )
    assert [record.client for record in trace][2:] == [(State.SYN_SENT, State.CLOSED)] * 2


def test_the_trace_says_which_end_is_the_client() -> None:
    trace = with_states(parse("< S 0:0(0)\n> S. 0:0(0) ack 1\n< . 1:1(0) ack 1\n"))
    assert [record.server and record.server[1] for record in trace] == [
        State.SYN_SENT,
        State.ESTABLISHED,
        State.ESTABLISHED,
    ]


def test_a_fault_that_depends_on_states_applies_to_a_handwritten_trace(tmp_path: Path) -> None:
    assert inject(with_states(parse(RESET)), ["goes-on-after-reset"]).injected[0].packet == 6
    path = tmp_path / "reset.pkt"
    path.write_text(RESET)
    assert run(["build", str(path), "--fault", "goes-on-after-reset", "-o", str(tmp_path / "a.pcapng")]) == 0
