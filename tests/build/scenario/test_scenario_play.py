"""Playing: the document's numbers emerge, steps begin when they should, and a seed gives the same octets
always.
"""

import pytest

from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import Trace
from labkit.capture import open_capture
from labkit.errors import CaptureError
from labkit.tcp.segment import control_names

MS = 1_000_000


def play(steps: str, rest: str = "", seed: int = 0) -> Trace:
    head = "name: test\nclient: {isn: 0}\nserver: {isn: 0}\npath: {rtt: 20ms}\n" if not rest else f"name: test\n{rest}"
    lines = "".join(f"  - {line}\n" for line in steps.split("; "))
    return Scenario.parse(f"{head}steps:\n{lines}").play(seed)


def lines(trace: Trace) -> list[str]:
    """One segment per line: sender, control bits, relative seq, octets, relative ack."""
    found = []
    for record in trace:
        start, ack = trace.relative(record)
        octets = len(record.segment.payload)
        found.append(f"{record.sender[0]} {control_names(record.segment.ctl)} {start} {octets} {ack}")
    return found


@pytest.mark.parametrize(("name", "reply"), [("document", 119), ("document-111", 111), ("document-ipv6", 119)])
def test_the_documents_segments_emerge(name, reply):
    trace = Scenario.load(name).play()
    assert lines(trace) == [
        "c SYN 0 0 0",
        "s SYN ACK 0 0 1",
        "c ACK 1 0 1",
        "c PSH ACK 1 99 1",
        f"s PSH ACK 1 {reply} 100",
        f"c ACK 100 0 {reply + 1}",
        f"c FIN ACK 100 0 {reply + 1}",
        f"s ACK {reply + 1} 0 101",
        f"s FIN ACK {reply + 1} 0 101",
        f"c ACK 101 0 {reply + 2}",
    ]
    assert [record.time // MS for record in trace] == [0, 20, 20, 20, 40, 80, 90, 110, 115, 115]


@pytest.mark.parametrize(
    ("steps", "tail"),
    [
        # A server that closes at the FIN merges its ACK with its FIN; later, it does not.
        (
            "client: connect; client: close; server: close",
            ["c FIN ACK 1 0 1", "s FIN ACK 1 0 2", "c ACK 2 0 2"],
        ),
        (
            "client: connect; client: close; server: {close: {after: 1us}}",
            ["c FIN ACK 1 0 1", "s ACK 1 0 2", "s FIN ACK 1 0 2", "c ACK 2 0 2"],
        ),
        # After `receive` the close is at once, and carries the acknowledgement.
        (
            "client: connect; server: {send: 5}; client: {receive: 5}; client: close; server: close",
            ["s PSH ACK 1 5 1", "c FIN ACK 1 0 6", "s FIN ACK 6 0 2", "c ACK 2 0 7"],
        ),
        # A reply within the delayed-ACK time carries the acknowledgement; a later one does not.
        (
            "client: connect; client: {send: 5}; server: {send: {octets: 6, after: 39ms}}",
            ["c PSH ACK 1 5 1", "s PSH ACK 1 6 6", "c ACK 6 0 7"],
        ),
        (
            "client: connect; client: {send: 5}; server: {send: {octets: 6, after: 41ms}}",
            ["c PSH ACK 1 5 1", "s ACK 1 0 6", "s PSH ACK 1 6 6", "c ACK 6 0 7"],
        ),
        (
            "client: connect; client: {send: 5}; client: {wait: 10ms}; client: {send: 6}",
            ["c PSH ACK 1 5 1", "s ACK 1 0 6", "c PSH ACK 6 6 1", "s ACK 1 0 12"],
        ),
        ("client: connect; client: abort", ["c ACK 1 0 1", "c RST ACK 1 0 1"]),
        ("client: connect; client: {abort: {after: 1s}}", ["c RST ACK 1 0 1"]),
        (
            "client: connect; client: close; server: {send: 7}; client: {wait: 1s}; server: close",
            ["c FIN ACK 1 0 1", "s PSH ACK 1 7 2", "c ACK 2 0 8", "s FIN ACK 8 0 2", "c ACK 2 0 9"],
        ),
    ],
)
def test_when_steps_begin(steps, tail):
    assert lines(play(steps))[-len(tail) :] == tail


def test_simultaneous_close():
    trace = Scenario.load("simultaneous-close").play()
    assert [str(record.client[1]) for record in trace][-4:] == [
        "FIN-WAIT-1",
        "CLOSING",
        "CLOSING",
        "TIME-WAIT",
    ]
    assert [str(record.server[1]) for record in trace][-4:] == [
        "CLOSING",
        "FIN-WAIT-1",
        "TIME-WAIT",
        "CLOSING",
    ]


def test_a_server_that_sends_first_acknowledges_only_the_syn():
    found = lines(Scenario.load("server-speaks-first").play())
    assert found[2:4] == ["c ACK 1 0 1", "s PSH ACK 1 24 1"]


def test_refused():
    assert lines(Scenario.load("refused").play()) == ["c SYN 0 0 0", "s RST ACK 0 0 1"]


def test_captured_at_the_server():
    steps = "client: connect; client: {send: 5}"
    rest = "capture: {}\npath: {{rtt: 20ms, to_server: {{lose: [1]}}}}\n"
    at_client, at_server = (play(steps, rest.format(side)) for side in ("client", "server"))
    assert [(r.sender, r.time // MS) for r in at_client][:3] == [
        ("client", 0),
        ("client", 1000),
        ("server", 1020),
    ]
    assert [(r.sender, r.time // MS) for r in at_server][:3] == [
        ("client", 1010),
        ("server", 1010),
        ("client", 1030),
    ]
    assert [r.arrived for r in at_client][:2] == [False, True]


def test_each_line_of_a_payload_begins_with_its_position():
    trace = play("client: connect; client: {send: 3000}")
    stream = b"".join(record.segment.payload for record in trace)
    assert len(stream) == 3000
    assert [stream[at : at + 6] for at in (0, 64, 2944)] == [b"000000", b"000064", b"002944"]
    assert stream.endswith(b"\r\n")
    texts = play("client: connect; client: {send: {text: grüß}}; client: {send: {hex: 00ff}}")
    assert b"".join(record.segment.payload for record in texts) == "grüß".encode() + b"\x00\xff"


def test_the_seed_determines_all_random_values():
    rest = "client: {port: 1024..65535, isn: random}\npath: {rtt: 1ms..100ms}\n"
    traces = [play("client: connect; client: {send: 50..4000}", rest, seed) for seed in (1, 1, 2)]
    frames = [list(trace.frames()) for trace in traces]
    assert frames[0] == frames[1] != frames[2]
    assert traces[0].client.port != traces[2].client.port
    assert traces[0].client_isn != traces[2].client_isn
    assert traces[0].client_isn != traces[0].server_isn


def test_isns_do_not_depend_on_other_ranges():
    plain, ranged = (play("client: connect", f"client: {{ttl: {ttl}}}\n") for ttl in (64, 63))
    assert plain.client_isn == ranged.client_isn


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios_with_any_seed_and_number(name):
    text = Scenario.load(name)
    for seed in (0, 1, 2):
        trace = text.play(seed)
        again = text.play(seed)
        assert trace == again
        assert trace.records
        assert all(trace.explanation(record) for record in (trace.records[0], trace.records[-1]))


def test_captured_at_both_sides(tmp_path):
    rest = "capture: both\npath: {rtt: 20ms, to_server: {lose: [1]}}\n"
    trace = play("client: connect", rest)
    assert [(r.tap, r.sender, r.time // MS, r.ident, r.arrived) for r in trace] == [
        ("client", "client", 0, 1, False),
        ("client", "client", 1000, 2, True),
        ("server", "client", 1010, 2, True),
        ("server", "server", 1010, 1, True),
        ("client", "server", 1020, 1, True),
        ("client", "client", 1020, 3, True),
        ("server", "client", 1030, 3, True),
    ]
    assert "again" in trace.explanation(trace.records[1])
    assert "again" not in trace.explanation(trace.records[2])
    trace.write(tmp_path / "both.pcapng")
    with open_capture(tmp_path / "both.pcapng") as reader:
        frames = list(reader)
    assert [frame.interface for frame in frames] == [0, 0, 1, 1, 0, 0, 1]
    assert frames[1].data == frames[2].data
    with pytest.raises(CaptureError, match="one interface"):
        trace.write(tmp_path / "both.pcap")
    assert not (tmp_path / "both.pcap").exists()


def test_a_shutdown_is_a_close():
    texts = [
        f"name: a\nsteps:\n  - client: connect\n  - client: {verb}\n  - server: {{send: 3000}}\n  - server: close\n"
        for verb in ("close", "shutdown")
    ]
    closed, shut = (Scenario.parse(text).play() for text in texts)
    assert [record.segment for record in shut] == [record.segment for record in closed]
    assert {record.step for record in shut} - {record.step for record in closed} == {"step 2: client shutdown"}
