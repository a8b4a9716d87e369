"""Segments that a scenario writes down: their numbers, their times, what the peer makes of them, and errors."""

import pytest

from labkit.build.bulk import build
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.cli import run
from labkit.errors import ScenarioError, UsageError
from labkit.tcp.notation import format_segment
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.state import State

SERVER = "server: {isn: 5000, timestamps: true}\npath: {rtt: 20ms}\n"
OPENING = ["S 0:0(0) <mss 1460,sackOK,TS val 7 ecr 0>", ". 1:1(0) ack 1 <nop,nop,TS val 8 ecr last>"]


def step(side: str, lines: list[str], more: str = "") -> str:
    block = "".join(f"        {line}\n" for line in lines)
    return f"- {side}:\n    segments:\n      lines: |\n{block}{more}"


def play(steps: str, hosts: str = f"client: {{isn: 1000}}\n{SERVER}", seed: int = 0) -> Trace:
    return Scenario.parse(f"name: x\n{hosts}steps:\n{steps}").play(seed)


def sent(trace: Trace, side: str) -> list[str]:
    return [format_segment(record.segment) for record in trace if record.sender == side]


def test_numbers_count_from_the_initial_ones() -> None:
    trace = play(step("client", [*OPENING, "+0 P. 11:15(4) ack 1 win 99 <sack 3:5>", "P. 1:5(4) ack 1"]))
    assert sent(trace, "client") == [
        "S 1000:1000(0) win 65535 <mss 1460,sackOK,TS val 7 ecr 0>",
        f". 1001:1001(0) ack 5001 win 65535 <nop,nop,TS val 8 ecr {stamp(trace, 1)}>",
        "P. 1011:1015(4) ack 5001 win 99 <sack 5003:5005>",
        "P. 1001:1005(4) ack 5001 win 65535",
    ]
    # The server's answers: SYN ACK, a duplicate ACK with SACK, and one of the octets in order.
    assert [record.segment.ack for record in trace if record.sender == "server"] == [1001, 1001, 1005]


def stamp(trace: Trace, place: int) -> int:
    text = sent(trace, "server")[place - 1]
    return int(text.partition("TS val ")[2].split()[0])


def test_numbers_wrap() -> None:
    trace = play(
        step("client", ["S 0:0(0)", ". 4294967295:4294967295(0) ack 1"]),
        "client: {isn: 0}\nserver: {isn: 4294967295}\n",
    )
    assert (trace[2].segment.seq, trace[2].segment.ack) == (0xFFFF_FFFF, 0)


def test_a_time_follows_the_line_before_and_no_time_an_answer() -> None:
    trace = play(step("client", [*OPENING, "+0.5 P. 1:5(4) ack 1", "+0 P. 5:9(4) ack 1", "R 9:9(0)"]))
    times = [record.time // 1_000_000 for record in trace if record.sender == "client"]
    assert times == [0, 20, 520, 520, 580]  # the answer is a delayed acknowledgement


def test_an_echo_may_be_older() -> None:
    lines = [*OPENING, "+0.1 . 1:1(0) ack 1 <TS val 9 ecr last-3>"]
    trace = play(step("client", lines))
    assert sent(trace, "client")[2].endswith(f"<TS val 9 ecr {stamp(trace, 1) - 3}>")


def test_a_side_of_segments_has_no_tcp() -> None:
    trace = play(
        "- client: connect\n"
        + step("server", ["S. 0:0(0) ack 1 <mss 100>"])
        + "- client: {send: 300}\n"
        + step("server", [". 1:1(0) ack 301 win 0"]),
        "client: {isn: 1000}\nserver: {isn: 5000}\n",
    )
    assert [len(record.segment.payload) for record in trace if record.sender == "client"] == [0, 0, 100, 100, 100]
    assert sent(trace, "server") == [
        "S. 5000:5000(0) ack 1001 win 65535 <mss 100>",
        ". 5001:5001(0) ack 1301 win 0",
    ]
    assert {record.server for record in trace} == {None}
    assert trace[0].client is not None


def test_segments_beside_a_tcp_are_an_attackers() -> None:
    trace = play("- client: connect\n- client: {send: 10}\n- server: {send: 10}\n" + step("client", ["R 11:11(0)"]))
    (forged,) = [record for record in trace if record.sender == "client" and record.segment.ctl == RST]
    # The server believes it, and the client's TCP knows nothing, until the server no longer knows the connection.
    assert (forged.client, forged.server) == ((State.ESTABLISHED,) * 2, (State.ESTABLISHED, State.CLOSED))
    last = trace[len(trace) - 1]
    assert (last.sender, last.segment.ctl, last.client and last.client[1]) == ("server", RST, State.CLOSED)


def test_a_step_of_the_peer_waits_for_the_last_segment() -> None:
    trace = play(
        step("client", OPENING) + "- server: {send: 10}\n", f"client: {{isn: 1000}}\n{SERVER}capture: server\n"
    )
    times = [record.time // 1_000_000 for record in trace]
    assert times[:4] == [10, 10, 30, 30]
    assert len(trace[3].segment.payload) == 10


def test_octets_of_which_more_follow_wait_for_them() -> None:
    steps = "- client: {send: {octets: 100, more: true}}\n- client: {send: {octets: 50, after: 100ms}}\n"
    trace = play("- client: connect\n" + steps)
    assert [len(record.segment.payload) for record in trace if record.segment.payload] == [150]
    late = play("- client: connect\n" + steps.replace("100ms", "5s"))
    sent = [(record.time // 1_000_000_000, len(record.segment.payload)) for record in late if record.segment.payload]
    assert sent == [(1, 100), (5, 50)]
    ended = play("- client: connect\n" + steps.splitlines()[0] + "\n- client: close\n")
    assert [len(record.segment.payload) for record in ended if record.segment.payload] == [100]


@pytest.mark.parametrize("stack", ["rfc", "linux-6.18"])
@pytest.mark.parametrize(
    ("client", "step"),
    [
        (", keep_alive: 250ms, keep_alive_interval: 250ms", "client: {wait: 10s}"),
        ("", "\n- ".join(["server: {send: {octets: 5, at_once: true, after: 150ms}}"] * 20)),
    ],
    ids=["keep-alives", "data of the peer"],
)
def test_what_the_peer_sends_does_not_put_off_octets_of_which_more_follow(stack: str, client: str, step: str) -> None:
    hosts = f"client: {{stack: {stack}{client}}}\nserver: {{stack: {stack}}}\n"
    trace = play(f"- client: connect\n- client: {{send: {{octets: 100, more: true, after: 100ms}}}}\n- {step}\n", hosts)
    (at,) = [each.time for each in trace if each.sender == "client" and each.segment.payload]
    # After a retransmission timeout, not sooner than 200 ms, not later than 1 s of `rto_min` and a little.
    assert 300 < at // 1_000_000 < 1200


def test_both_sides_may_be_written_down() -> None:
    steps = (
        step("client", ["S 0:0(0)"]) + step("server", ["S. 0:0(0) ack 1"])
        + step("client", [". 1:1(0) ack 1", "+0 P. 1:5(4) ack 1"]) + step("server", [". 1:1(0) ack 5"])
    )  # fmt: skip
    trace = play(steps, "client: {isn: 1000}\nserver: {isn: 5000}\n")
    assert [(each.segment.seq, each.segment.ack) for each in trace] == [
        (1000, 0), (5000, 1001), (1001, 5001), (1001, 5001), (5001, 1005),
    ]  # fmt: skip


def test_a_lost_segment_holds_nobody_up() -> None:
    hosts = "client: {isn: 0}\npath: {to_server: {lose: [2]}}\n"
    trace = play(step("client", ["S 0:0(0)", ". 1:1(0) ack 1"]) + "- server: {abort: {after: 100ms}}\n", hosts)
    assert [record.arrived for record in trace if record.sender == "client"] == [True, False]


def test_a_written_syn_begins_the_next_connection() -> None:
    opening = ["S 0:0(0)", ". 1:1(0) ack 1"]
    trace = play(
        step("client", opening)
        + "- server: close\n"
        + step("client", [". 1:1(0) ack 2", "+0 F. 1:1(0) ack 2", "+0.1 S 90000:90000(0)", ". 90001:90001(0) ack 1"]),
        "client: {isn: 0}\nserver: {stack: linux-6.18}\n",
    )
    assert [connection.client_isn for connection in trace.connections] == [0, 90000]
    last = trace[len(trace) - 1]
    assert (trace.relative(last), last.connection) == ((1, 1), 1)


def test_a_closed_port_answers_a_written_segment() -> None:
    trace = play(step("client", ["S 7:7(0)", "+0 . 7:7(0) ack 99"]), "client: {isn: 0}\nserver: {listen: false}\n")
    assert sent(trace, "server") == ["R. 0:0(0) ack 8 win 0", "R 99:99(0) win 0"]


def test_python_writes_segments_too() -> None:
    trace = Scenario.build("x", server={"stack": "linux-6.18"}).client.segments("\n".join(OPENING)).play()
    assert [record.segment.ctl for record in trace] == [SYN, SYN | ACK, ACK]


def test_the_comment_is_the_step(tmp_path, capsys) -> None:
    trace = play(step("client", OPENING))
    assert next(text for _frame, _time, text in trace.frames()) == "step 1: client segments"


def test_empty_lines_and_comments_are_passed_over() -> None:
    assert len(play(step("client", ["# opening", *OPENING, "", "+0 R 1:1(0)  # and out"], "      after: 1s\n"))) == 4


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('"S 0:0(0)\\n. 1:1(0) ack"', "line 2: 'ack' is not understood; expected the line's end"),
        ('"> S 0:0(0)"', "line 1: '> S 0:0(0)' has a direction; the step's side sends it"),
        ('"-0.1 S 0:0(0)"', "line 1: 0.1 is not after the line before; expected a time such as +0.010"),
        ('"0.1 S 0:0(0)"', "line 1: 0.1 is not after the line before"),
        ('"S 0:0(0) <TS val 1 ecr last+7>"', "line 1: option 'TS val 1 ecr last+7' is not understood"),
        ('"S 0:0(0) {sum=0}"', "line 1: {sum}: a step has no edits of frames"),
        ('"# nothing"', "has 0 segments; expected 1 to 10000"),
        ("5", "is not text; expected segments such as 'S 0:0(0) <mss 1460>', one for each line"),
        ("", "lines: is missing"),
    ],
)
def test_bad_lines_are_refused(lines: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(f"name: x\nsteps:\n- client: {{segments: {lines}}}\n", "x.yaml")
    assert str(caught.value).startswith("x.yaml:3: steps[1].client.segments")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("segments: |\n      S 0:0(0)\n\n      X 1:1(0)\n", 7, "segments: 'X 1:1(0)' is not understood"),
        ("segments: |2-\n        X 0:0(0)\n", 5, "segments: 'X 0:0(0)' is not understood"),
        ("segments:\n      after: 1s\n      lines: |\n        S 0:0(0)\n        X\n", 8, "segments.lines: 'X'"),
        ("segments: >\n      S 0:0(0)\n\n      X 1:1(0)\n", 4, "segments: line 2: 'X 1:1(0)' is not understood"),
    ],
    ids=["block", "indented", "long form", "folded"],
)
def test_a_bad_line_of_a_block_is_named_by_its_line_in_the_file(text: str, line: int, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(f"name: x\nsteps:\n- client:\n    {text}", "x.yaml")
    assert str(caught.value).startswith(f"x.yaml:{line}: steps[1].client.")
    assert message in str(caught.value)


def test_a_line_that_never_begins_is_an_error() -> None:
    message = "line 2 of the segments has no time and never begins: no segment of the server arrives"
    with pytest.raises(ScenarioError, match=message):
        play(step("client", ["R 0:0(0)", ". 1:1(0) ack 1"]))


def test_no_file_of_many_flows_has_them(tmp_path) -> None:
    scenario = Scenario.parse(f"name: x\nsteps:\n{step('client', OPENING)}")
    with pytest.raises(UsageError, match="has segments as written"):
        build(scenario, 10, tmp_path / "a.pcap")


def test_the_same_seed_gives_the_same_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(f"name: x\nserver: {{stack: linux-6.18}}\nsteps:\n{step('client', OPENING)}")
    for target in ("a.pcap", "b.pcap"):
        assert run(["build", "x.yaml", "--seed", "3", "-o", target]) == 0
    assert (tmp_path / "a.pcap").read_bytes() == (tmp_path / "b.pcap").read_bytes()
