"""Several connections in a scenario: one after the other between the same ports, or many at the same time."""

import gc
from collections import Counter
from itertools import pairwise

import pytest

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.errors import ScenarioError
from labkit.tcp.segment import control_names
from labkit.tcp.seq import after

MS = 1_000_000
HEAD = "name: test\npath: {rtt: 20ms}\n"
CALL = ["client: connect", "client: {send: 9}", "client: close", "server: close"]


def play(*steps: str, rest: str = "", seed: int = 0) -> Trace:
    return Scenario.parse(f"{HEAD}{rest}steps:\n" + "".join(f"  - {step}\n" for step in steps)).play(seed)


def shown(trace: Trace) -> list[str]:
    """One segment per line: connection, sender, control bits, relative seq and ack."""
    found = []
    for record in trace:
        start, ack = trace.relative(record)
        found.append(f"{record.connection} {record.sender[0]} {control_names(record.segment.ctl)} {start} {ack}")
    return found


# One after the other.


def test_another_connection_after_the_first_is_gone():
    trace = play(*CALL, "client: {wait: 61s}", *CALL)
    lines = shown(trace)
    assert [line[2:] for line in lines[:7]] == [line[2:] for line in lines[7:]]
    assert {line[0] for line in lines[:7]} == {"0"}
    assert {line[0] for line in lines[7:]} == {"1"}
    first, second = trace.connections
    assert (first.client, first.server) == (second.client, second.server)
    # RFC 6528: the same secret, and a clock that has moved on by a tick every 4 microseconds.
    assert (second.client_isn - first.client_isn) & 0xFFFFFFFF == trace.records[7].time // 4000


def test_a_given_isn_grows_with_the_clock():
    trace = play(*CALL, "client: {wait: 61s}", *CALL, rest="client: {isn: 7}\n")
    assert trace.connections[0].client_isn == 7
    assert trace.connections[1].client_isn == 7 + trace.records[7].time // 4000


@pytest.mark.parametrize("isn", ["random", 0, 2**32 - 1])
def test_a_new_isn_is_beyond_all_used_numbers(isn):
    """With more octets than ticks of the clock, the second ISN must still be beyond the first connection."""
    steps = ["client: {send: 90kB}", "server: {send: 90kB}", "server: close", "client: close"]
    steps = ["client: connect", *steps, "client: {connect: {after: 1ms}}", *steps]
    text = f"name: test\nclient: {{isn: {isn}}}\nserver: {{isn: {isn}}}\npath: {{rtt: 0}}\nsteps:\n"
    trace = Scenario.parse(text + "".join(f"  - {step}\n" for step in steps)).play()
    first, second = trace.connections
    for before, later in ((first.client_isn, second.client_isn), (first.server_isn, second.server_isn)):
        assert (later - before) & 0xFFFFFFFF == 90_002 + 65_536
    assert len([line for line in shown(trace) if "SYN" in line]) == 4


def test_a_client_in_time_wait_cannot_connect():
    with pytest.raises(
        ScenarioError, match=r"cannot connect: connection already exists \(the client is in TIME-WAIT\)"
    ):
        play(*CALL, "client: connect")


def test_a_newer_syn_ends_the_server_s_time_wait():
    trace = Scenario.load("port-reuse").play()
    second = trace.records[9:]
    assert shown(trace)[9:11] == ["1 c SYN 0 0", "1 s SYN ACK 0 1"]
    assert [str(state) for state in second[0].server] == ["LISTEN", "SYN-RECEIVED"]
    assert second[0].time < 60_000 * MS
    first, last = trace.connections
    assert after(last.client_isn, first.client_isn + 101)
    assert after(last.server_isn, first.server_isn + 121)


def test_half_open_connections():
    lines = shown(Scenario.load("half-open-connections").play())
    # RFC 9293 figure 9, then figure 10.
    assert lines[6:12] == [
        "1 c SYN 0 0",
        "0 s ACK 120 100",
        "0 c RST 100 0",
        "1 c SYN 0 0",
        "1 s SYN ACK 0 1",
        "1 c ACK 1 1",
    ]
    assert lines[-2:] == ["1 c PSH ACK 100 120", "1 s RST 120 0"]


def test_steps_wait_for_their_own_connection():
    """The server does not send on the old connection, which only the server remembers."""
    trace = play(
        "client: connect",
        "client: {crash: {after: 50ms}}",
        "client: connect",
        "server: {send: 5}",
        "client: {wait: 1s}",
    )
    assert [line for line in shown(trace) if "PSH" in line] == ["1 s PSH ACK 1 1"]


def test_comments_use_the_isns_of_each_connection():
    trace = Scenario.load("port-reuse").play()
    comments = [comment for _, _, comment in trace.frames()]
    assert "seq 1 (raw " in comments[12]
    assert "= 1 (SYN); 99 octets: takes 99, next seq 100" in comments[12]
    assert comments == [trace.explanation(record) for record in trace]
    assert comments[9].startswith("step 6: client connect")


def test_a_server_that_does_not_listen_refuses_again():
    trace = play("client: connect", rest="server: {listen: false}\n")
    assert shown(trace) == ["0 c SYN 0 0", "0 s RST ACK 0 1"]


# Side by side.

MANY = "conversations: {count: 40, clients: 198.51.100.0/28, ports: 40000..40005, arrivals: every 1ms}\n"


def tuples(trace: Trace) -> list[tuple[str, int, str, int]]:
    return [
        (each.client.address, each.client.port, each.server.address, each.server.port) for each in trace.connections
    ]


def test_conversations_are_interleaved_and_never_collide():
    trace = play(*CALL, rest=MANY)
    assert len(set(tuples(trace))) == 40
    times = [record.time for record in trace]
    assert times == sorted(times)
    assert [record.number for record in trace] == list(range(1, len(times) + 1))
    assert set(Counter(record.connection for record in trace).values()) == {7}
    begins = {record.connection: record.time for record in reversed(trace.records)}
    assert [begins[number] // MS for number in range(40)] == list(range(40))
    assert len({record.connection for record in trace.records[20:30]}) > 3


def test_all_addresses_and_ports_can_be_used():
    rest = "conversations: {count: 12, clients: 198.51.100.8/30, ports: 7..12, arrivals: every 1ms}\n"
    with pytest.raises(ScenarioError, match="12 is too large for the addresses and ports; expected at most 6"):
        play(*CALL, rest=rest)
    trace = play(*CALL, rest=rest.replace("/30", "/29").replace("12, c", "30, c"))
    assert len(set(tuples(trace))) == 30
    # Neither the network's address nor its broadcast address.
    assert {address for address, *_ in tuples(trace)} <= {f"198.51.100.{last}" for last in range(9, 15)}


def test_no_client_has_the_server_s_address():
    rest = "conversations: {count: 12, clients: 192.0.2.16/29, ports: 5..7}\nserver: {address: 192.0.2.20}\n"
    trace = play(*CALL, rest=rest)
    assert "192.0.2.20" not in {address for address, *_ in tuples(trace)}


def test_each_packet_of_a_host_has_its_own_identification():
    trace = play(*CALL, rest=MANY)
    seen = Counter()
    for record in trace:
        connection = trace.connections[record.connection]
        seen[(connection.client if record.sender == "client" else connection.server).address, record.ident] += 1
    assert set(seen.values()) == {1}


def test_each_conversation_has_its_own_random_values():
    trace = play("client: connect", "client: {send: 1..1000}", rest=MANY)
    assert len({len(record.segment.payload) for record in trace if record.segment.payload}) > 30
    assert len({connection.client_isn for connection in trace.connections}) == 40
    again = play("client: connect", "client: {send: 1..1000}", rest=MANY)
    assert list(trace.frames()) == list(again.frames())
    assert tuples(play("client: connect", rest=MANY, seed=1)) != tuples(trace)


def test_arrivals_are_a_poisson_process():
    rest = "conversations: {count: 2000, ports: 1024..9000, arrivals: poisson 10ms}\n"
    trace = play("client: connect", rest=rest)
    begins = sorted({record.connection: record.time for record in reversed(trace.records)}.values())
    gaps = [(end - begin) / MS for begin, end in pairwise(begins)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 9 < mean < 11
    assert 9 < deviation < 11


def test_closed_ports_see_only_the_first_connect():
    rest = "conversations: {count: 4, server_ports: [79..81, 443], listening: 80, arrivals: every 50ms}\n"
    trace = play("client: connect", "client: {send: 5}", "client: abort", rest=rest)
    found = {}
    for record in trace:
        found.setdefault(trace.connections[record.connection].server.port, []).append(control_names(record.segment.ctl))
    refused = ["SYN", "RST ACK"]
    assert found == {79: refused, 80: ["SYN", "SYN ACK", "ACK", "PSH ACK", "RST ACK"], 81: refused, 443: refused}


def test_ipv6_clients():
    rest = "server: {address: '2001:db8::20'}\nconversations: {count: 5, clients: '2001:db8:1::/48'}\n"
    trace = play(*CALL, rest=rest)
    assert len({address for address, *_ in tuples(trace)}) == 5
    assert all(address.startswith("2001:db8:1:") for address, *_ in tuples(trace))
    assert {len(frame) for _, frame, _ in trace.frames()} > {74}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("count: 0", "conversations.count: 0 is too small; expected at least 1"),
        ("count: 10001", "conversations.count: 10001 is too large; expected at most 10000"),
        ("clients: 10.0.0.0/8", "f.yaml:3: conversations.count: is missing"),
        ("count: 5, clients: 10.0.0.0/33", "conversations.clients: '10.0.0.0/33' is not an address pool; expected"),
        ("count: 5, clients: 10.0.0.9-10.0.0.1", "is not an address pool"),
        ("count: 5, clients: '2001:db8::/64'", "2001:db8::/64 is not of the server's address family"),
        ("count: 5, ports: 0..9", "conversations.ports: 9 is not a port; expected 1 to 65535"),
        ("count: 5, ports: 7", "conversations.count: 5 is too large for the addresses and ports"),
        ("count: 5, server_ports: [80, 70000]", "70000 is not a port"),
        ("count: 5, server_ports: [80], listening: 81", "conversations.listening: 81 is not one of server_ports"),
        ("count: 5, arrivals: often", "'often' is not an arrival process; expected 'every 5ms' or 'poisson 10ms'"),
        ("count: 5, arrivals: poisson 10", "'10' has no unit"),
        ("count: 5, arrival: every 1s", "conversations.arrival: is not known here; expected one of arrivals"),
    ],
)
def test_impossible_conversations_are_refused(keys, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(f"{HEAD}conversations: {{{keys}}}\nsteps:\n  - client: connect\n", "f.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.yaml:3: ")


@pytest.mark.slow
def test_a_simulation_leaves_no_garbage_cycles():
    """The garbage collector pauses during the simulation, and finds nothing afterwards."""
    scenario = Scenario.load("conversations")
    scenario.play(1)  # so that all modules are loaded: a dataclass with slots leaves a cycle behind
    gc.collect()
    assert gc.isenabled()
    gc.disable()
    try:
        scenario.play(1)
        # It stays as it was, off or on.
        assert not gc.isenabled()
        assert gc.collect() < 50
    finally:
        gc.enable()
    scenario.play(2)
    assert gc.isenabled()
