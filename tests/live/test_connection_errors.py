"""A run that cannot go on says what happened, which packet shows it, and at which step. The peers are real kernel sockets."""

import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread

import pytest
from support import needs_ip, needs_root

from labkit.build.path import Way
from labkit.build.scenario import Scenario
from labkit.errors import LinkError
from labkit.live.conversation import SessionConfig
from labkit.live.guard import Guard
from labkit.live.lab import Lab
from labkit.live.session import open_session
from labkit.live.wiring import KERNELS, ip

pytestmark = [needs_root, needs_ip]

HEAD = "name: x\npath: {rtt: 2ms}\nsteps:\n- client: connect\n"
EXCHANGE = HEAD + "- client: {send: 9}\n- server: {send: 119}\n"


@pytest.fixture(autouse=True)
def use_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)


def reset(served: socket.socket) -> None:
    """Close with an RST."""
    served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    served.close()


def close(served: socket.socket) -> None:
    served.close()


@contextmanager
def server(lab: Lab, answer: bytes, end: Callable[[socket.socket], None]) -> Iterator[None]:
    """A server that reads a request, sends an answer, and ends the connection."""
    with lab.inside("server"):
        listening = socket.create_server((KERNELS["server"].ipv4, 80))

    def serve() -> None:
        served, _ = listening.accept()
        with served:
            served.recv(100)
            served.sendall(answer)
            end(served)

    thread = Thread(target=serve)
    with listening:
        thread.start()
        yield
        thread.join(10)


def failure(text: str, side: str = "client", seconds: float = 10, **more: object) -> str:
    """Play a scenario against a program in the lab, and return the error message."""
    config = SessionConfig(Scenario.parse(text), side, guard=Guard(seconds=seconds), **more)  # type: ignore[arg-type]
    with pytest.raises(LinkError) as caught, open_session(config) as conversation:
        list(conversation.frames())
    return str(caught.value)


def packet(text: str) -> int:
    """The packet number in a message."""
    return int(re.search(r"\(packet (\d+)", text)[1])  # type: ignore[index]


def test_a_server_that_refuses_the_connection() -> None:
    message = failure(EXCHANGE)
    assert message == (
        "<text>:5: the server refused the connection (packet 2; no program listens at 192.0.2.2:80) "
        "before step 2 (client send)"
    )


@pytest.mark.parametrize("verb", ["close", "abort", "{send: 5}"])
def test_the_server_resets_the_connection(lab: Lab, verb: str) -> None:
    with server(lab, b"", reset):
        message = failure(EXCHANGE + f"- client: {verb}\n")
    name = "send" if "send" in verb else verb
    expected = rf"<text>:7: the server reset the connection \(packet \d\) before step 4 \(client {name}\)"
    assert re.fullmatch(expected, message)
    assert packet(message) in (5, 6)


def test_the_server_closes_before_it_has_sent_everything(lab: Lab) -> None:
    with server(lab, b"hello", close):
        message = failure(EXCHANGE + "- client: {receive: 119}\n- client: close\n")
    expected = r"<text>:7: the client received 5 of 119 octets: the server closed the connection \(packet \d\)"
    assert re.fullmatch(expected, message)
    assert 6 <= packet(message) <= 8


def test_the_server_has_closed_and_then_resets(lab: Lab) -> None:
    text = EXCHANGE + "- client: {send: {octets: 5, after: 50ms}}\n- client: {send: {octets: 5, after: 50ms}}\n"
    with server(lab, b"hello", close):
        message = failure(text)
    assert re.fullmatch(
        r"<text>:8: the server reset the connection \(packet \d+\) before step 5 \(client send\)", message
    )


@pytest.mark.parametrize("text", [HEAD, EXCHANGE])
def test_the_server_does_not_answer_the_syn(lab: Lab, text: str) -> None:
    with ExitStack() as stack:
        with lab.inside("server"):
            listening = stack.enter_context(socket.create_server((KERNELS["server"].ipv4, 80), backlog=0))
        with lab.inside("client"):
            # With a full accept queue the kernel drops SYNs.
            stack.enter_context(socket.create_connection(listening.getsockname(), 5))
        assert failure(text, seconds=0.3) == (
            "not over after 0.3 seconds: 192.0.2.2:80 has not answered the SYN; --for allows more"
        )


def test_no_client_connects() -> None:
    assert failure(EXCHANGE, "server", 0.2) == (
        "not over after 0.2 seconds: no client has connected to 192.0.2.20:80; --for allows more"
    )


def test_the_client_resets_the_connection(lab: Lab) -> None:
    def connect() -> None:
        with lab.inside("client"), socket.socket() as client:
            client.settimeout(5)
            client.connect(("192.0.2.20", 80))
            client.sendall(bytes(9))
            reset(client)

    thread = Thread(target=connect)
    config = SessionConfig(
        Scenario.parse(EXCHANGE + "- server: {close: {after: 50ms}}\n"), "server", guard=Guard(seconds=10)
    )
    with open_session(config) as conversation:
        thread.start()
        with pytest.raises(LinkError) as caught:
            list(conversation.frames())
    thread.join(10)
    assert re.fullmatch(
        r"<text>:[67]: the client reset the connection \(packet \d\) before step [34] \(server (send|close)\)",
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("address", "protocol"), [("192.0.2.77", "ARP"), ("2001:db8::77", "neighbour solicitation")], ids=["IPv4", "IPv6"]
)
def test_no_host_has_the_address(address: str, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.live.station.Station.resolve.__defaults__", (300_000_000,))
    assert failure(EXCHANGE, to=(address, None)) == f"labkit-client: no host answers {protocol} for {address}"


@pytest.mark.parametrize(
    ("end", "command", "message"),
    [
        ("client", "link set dev labkit-client down", "labkit-client: the interface is down"),
        ("client", "link del dev labkit-client", "labkit-client: the interface was removed during the run"),
        (
            "server",
            "link set dev labkit-server down",
            "not over after 0.5 seconds: the server does not acknowledge 9 octets; --for allows more",
        ),
    ],
)
def test_an_interface_goes_away(lab: Lab, end: str, command: str, message: str) -> None:
    config = SessionConfig(Scenario.parse(EXCHANGE), "client", guard=Guard(seconds=0.5))
    with lab.inside("server"):
        listening = socket.create_server((KERNELS["server"].ipv4, 80))
    with listening, open_session(config) as conversation, pytest.raises(LinkError) as caught:
        for frame in conversation.frames():
            if frame.number == 3:
                with lab.inside(end):
                    ip([command])
    assert str(caught.value) == message


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_the_path_counts_whole_datagrams(ipv6: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live and simulated, the size of a packet on the path is that of its IP datagram."""
    sizes: list[int] = []
    carry = Way.carry

    def record(way: Way, size: int, now: int) -> list[int]:
        sizes.append(size)
        return carry(way, size, now)

    monkeypatch.setattr(Way, "carry", record)
    scenario = Scenario.parse(EXCHANGE + "- client: close\n- server: close\n")
    with open_session(SessionConfig(scenario, "client", peer="kernel", ipv6=ipv6)) as conversation:
        frames = list(conversation.frames())
    assert sorted(sizes) == sorted(len(frame.data) - 14 for frame in frames)
    sizes.clear()
    address = '"2001:db8::10"' if ipv6 else "192.0.2.10"
    trace = Scenario.parse(f"client: {{address: {address}}}\n" + EXCHANGE).play()
    assert sorted(sizes) == sorted(len(octets) - 14 for _, octets, _ in trace.frames())
