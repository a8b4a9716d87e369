"""`application`: when steps begin, with two ends whose answers the tests set."""

import pytest

from labkit.build.application import Application, Plan
from labkit.build.scenario import Scenario
from labkit.errors import UsageError


class ScriptedEnd:
    """An end that records its calls. The tests set what it answers."""

    def __init__(self) -> None:
        self.step = ""
        self.reading = True
        self.connected = self.peer_closed = self.gone = False
        self.delivered = self.known = self.serving = 0
        self.calls: list[str] = []
        self.error = ""

    def knows(self, octets: int) -> bool:
        return self.known >= octets

    def serves(self, connection: int) -> bool:
        return self.serving == connection

    def connect(self, connection: int, now: int) -> None:
        self.serving = connection
        self._call(f"connect {connection} at {now}")

    def send(self, payload: bytes, now: int, *, urgent: bool = False, more: bool = False) -> None:
        self._call(f"send {len(payload)} at {now}{' urgent' if urgent else ''}{' more' if more else ''}")

    def close(self, now: int) -> None:
        self._call(f"close at {now}")

    def abort(self, now: int) -> None:
        self._call(f"abort at {now}")

    def crash(self, now: int) -> None:
        self._call(f"crash at {now}")

    def flush(self, now: int) -> None:
        """Nothing to send."""

    def _call(self, text: str) -> None:
        if self.error:
            raise UsageError(self.error)
        self.calls.append(text)


def application(
    *steps: str, connections: tuple[int, ...] = ()
) -> tuple[Application, ScriptedEnd, ScriptedEnd, list[int]]:
    """Steps such as "client send 5 +10": side, verb, octets or time, think time."""
    plans = []
    for number, text in enumerate(steps):
        side, verb, *rest = text.split()
        after = int(rest.pop()[1:]) if rest and rest[-1].startswith("+") else 0
        count = int(rest[0]) if rest else 0
        plan = Plan(number, number, number + 1, side, verb, after, text=text)
        if verb == "wait":
            plan.time = count
        else:
            plan.octets, plan.payload = count, b"x" * count if verb != "receive" else b""
        plan.connection = connections[number] if connections else 0
        plans.append(plan)
    client, server, times = ScriptedEnd(), ScriptedEnd(), []
    return Application(plans, {"client": client, "server": server}, times.append), client, server, times


def test_a_reply_begins_when_the_request_is_delivered() -> None:
    run, client, server, _ = application("client connect", "client send 5", "server send 7")
    assert run.go_on(0) == "client"
    assert client.calls == ["connect 0 at 0"]
    client.connected = True
    assert run.go_on(1) == "client"
    server.delivered = 4
    assert run.go_on(2) == ""
    server.delivered = 5
    assert run.go_on(3) == "server"
    assert server.calls == ["send 7 at 3"]
    assert server.step == "server send 7"
    assert run.finished(3)


def test_a_close_waits_until_the_peer_knows_that_its_data_arrived() -> None:
    run, client, server, _ = application("client send 5", "server close")
    run.go_on(0)
    server.delivered = 5
    run.go_on(1)
    assert server.calls == []
    client.known = 5
    run.go_on(2)
    assert server.calls == ["close at 2"]


def test_a_think_time_and_a_wait_ask_to_be_called_again() -> None:
    run, client, _, times = application("client wait 10", "client close +5")
    run.go_on(100)
    assert (times, run.due()) == ([110], 110)
    run.go_on(110)
    assert (times, run.due()) == ([110, 115], 115)
    assert client.calls == []
    run.go_on(115)
    assert client.calls == ["close at 115"]


def test_a_step_waits_until_its_side_serves_the_connection() -> None:
    run, client, server, _ = application("client connect", "server close", connections=(1, 1))
    run.go_on(0)
    server.connected = True
    run.go_on(1)
    assert server.calls == []
    server.serving = 1
    run.go_on(2)
    assert server.calls == ["close at 2"]
    assert client.calls == ["connect 1 at 0"]


@pytest.mark.parametrize(("before", "answer"), [("close", "peer_closed"), ("abort", "gone")])
def test_the_end_of_the_connection_must_arrive(before: str, answer: str) -> None:
    run, _, server, _ = application(f"client {before}", "server pause")
    run.go_on(0)
    assert server.reading
    setattr(server, answer, True)
    run.go_on(1)
    assert not server.reading


def test_a_step_that_tcp_forbids_is_the_next_one() -> None:
    run, client, _, _ = application("client receive 0", "client send 5")
    client.error = "connection does not exist"
    with pytest.raises(UsageError, match="connection does not exist"):
        run.go_on(0)
    assert run.next is run.plans[1]
    assert run.latest is run.plans[0]


@pytest.mark.parametrize(("address", "octets"), [("192.0.2", 40), ("2001:db8:", 60)])
def test_the_path_counts_the_ip_header(address: str, octets: int) -> None:
    """At 8 Mbit/s each octet takes a microsecond. The SYN has four octets of options (MSS) and four more (SACK, NOPs)."""
    joint = ":" if "db8" in address else "."
    trace = Scenario.parse(
        f"name: a\ncapture: server\nclient: {{address: '{address}{joint}10'}}\nserver: {{address: '{address}{joint}20'}}\n"
        "path: {rtt: 0ms, to_server: {bandwidth: 8Mbit/s}}\nsteps: [client: connect]\n"
    ).play()
    syn = trace.records[0]
    assert syn.time == (octets + len(syn.segment.header)) * 1_000
