"""Scenarios in Python: from plain values, step by step, and with functions as replies."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from labkit import Scenario, ScenarioError, Trace, verify
from labkit.build.scenario import shipped
from labkit.build.scenario.code import ScenarioBuilder


def frames(trace: Trace) -> list[tuple[int, bytes, str]]:
    return list(trace.frames())


def payloads(trace: Trace, side: str) -> bytes:
    return b"".join(record.segment.payload for record in trace if record.sender == side)


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_as_values_is_the_same_scenario(name: str) -> None:
    scenario = Scenario.load(name)
    again = Scenario.from_dict(scenario.source.data, scenario.source.folder)
    assert frames(again.play(3)) == frames(scenario.play(3))
    assert again.digest != scenario.digest


def test_the_builder_gives_the_same_as_a_file() -> None:
    text = """
        name: document
        client: {address: 192.0.2.10, port: 40000, isn: 0}
        server: {address: 192.0.2.20, port: 80, isn: 0}
        path: {rtt: 20ms}
        steps:
          - client: connect
          - client: {send: 99}
          - server: {send: {text: hello, after: 5ms}}
          - client: {receive: 5}
          - client: {wait: 1ms}
          - client: pause
          - client: resume
          - exchange: {http: {path: /a}, think: 2ms}
          - client: shutdown
          - server: {close: {after: 5ms}}
    """
    built = (
        Scenario.build(
            "document",
            client={"address": ip_address("192.0.2.10"), "port": 40000, "isn": 0},
            server={"address": "192.0.2.20", "port": 80, "isn": 0},
            path={"rtt": "20ms"},
        )
        .client.connect()
        .client.send(99)
        .server.send("hello", after="5ms")
        .client.receive(5)
        .client.wait("1ms")
        .client.pause()
        .client.resume()
        .exchange("http", path="/a", think="2ms")
        .client.shutdown()
        .server.close(after="5ms")
    )
    assert frames(built.play(5)) == frames(Scenario.parse(text).play(5))
    assert repr(built.scenario()) == "<Scenario 'document': 10 steps>"


def test_other_endings_of_one_beginning() -> None:
    begun = Scenario.build("begun").client.connect().client.send(b"hello")
    endings = [begun.client.abort(), begun.client.close().server.close(), begun.server.crash()]
    assert [len(each.steps) for each in endings] == [3, 4, 3]
    assert len(begun.steps) == 2
    assert [verify(each.play()).conversations[0].closed for each in endings] == ["reset", "fin", "reset"]


def test_octets_go_as_they_are() -> None:
    every = bytes(range(256)) * 20
    scenario = Scenario.build("octets").client.connect().client.send(every).server.send(bytearray(b"\0")).client.close()
    assert payloads(scenario.play(), "client") == every
    assert payloads(scenario.play(), "server") == b"\0"
    values = {"name": "octets", "steps": [{"client": "connect"}, {"client": {"send": b"\xff\n"}}]}
    assert payloads(Scenario.from_dict(values).play(), "client") == b"\xff\n"


def test_data_in_the_syn() -> None:
    client = {"fast_open": "0123456789abcdef"}
    server = {"fast_open": "0123456789abcdef"}
    begun = Scenario.build("early", client=client, server=server).client.connect(b"early").server.send(bytes.upper)
    trace = begun.play()
    assert trace.records[0].segment.payload == b"early"
    assert payloads(trace, "server") == b"EARLY"


def echo(builder: ScenarioBuilder) -> ScenarioBuilder:
    return builder.server.send(lambda received: received)


def test_a_function_replies_to_what_arrived_since_the_last_one() -> None:
    begun = Scenario.build("echo").client.connect()
    for word in (b"one", b"two", b"three" * 2000):
        begun = echo(begun.client.send(word))
    trace = begun.client.send(lambda received: str(len(received)).encode()).client.close().server.close().play()
    assert payloads(trace, "server") == b"onetwo" + b"three" * 2000
    assert payloads(trace, "client").endswith(b"10006")
    assert verify(trace)
    assert {record.step for record in trace if record.segment.payload == b"one"} == {
        "step 2: client send 3 octets",
        "step 3: server send 3 octets",
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_function_sees_every_octet_once_in_order_through_loss(seed: int) -> None:
    seen: list[bytes] = []

    def reply(received: bytes) -> bytes:
        seen.append(received)
        return b"ok"

    lossy = {"loss": "10%", "jitter": "3ms"}
    begun = Scenario.build("lossy", path={"to_server": lossy, "to_client": lossy}).client.connect()
    for number in range(20):
        begun = begun.client.send(b"%04d" % number * 500).server.send(reply)
    trace = begun.client.close().server.close().play(seed)
    assert seen == [b"%04d" % number * 500 for number in range(20)]
    assert verify(trace)


def test_functions_in_a_second_connection_begin_anew() -> None:
    begun = echo(Scenario.build("again").client.connect().client.send(b"one")).client.close().server.close()
    again = echo(begun.client.connect(after="90s").client.send(b"two")).client.abort()
    assert payloads(again.play(), "server") == b"onetwo"


def test_a_function_may_send_nothing() -> None:
    trace = Scenario.build("silent").client.connect().client.send(b"x").server.send(lambda _: b"").server.close().play()
    assert payloads(trace, "server") == b""
    assert verify(trace)


def test_files_are_those_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<p>")
    values = {"name": "file", "steps": [{"client": "connect"}, {"client": {"send": {"file": "page.html"}}}]}
    assert payloads(Scenario.from_dict(values, tmp_path).play(), "client") == b"<p>"
    with pytest.raises(ScenarioError, match="a scenario without a folder cannot name files"):
        Scenario.from_dict(values)


def begin(**values: Any) -> ScenarioBuilder:
    return Scenario.build("x", **values).client.connect()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Scenario.build("x").scenario(), "x: steps: is empty; expected at least one"),
        (lambda: begin(clent={}).scenario(), "x: clent: is not known here; "),
        (lambda: begin(client={"port": 70000}).scenario(), "x: client.port: 70000 is not a port; expected 1 to 65535"),
        (lambda: begin().client.send(-5).scenario(), "x: steps[2].client.send.octets: '-5' is not a size; expected "),
        (lambda: begin().client.send().scenario(), "x: steps[2].client.send: has no payload; expected one of "),
        (lambda: begin().client.send(b"a", text="b").scenario(), "x: steps[2].client.send: has 2 payloads; expected "),
        (
            lambda: begin().client.send(b"a", afterr="1ms").scenario(),
            "x: steps[2].client.send.afterr: is not known here",
        ),
        (lambda: begin().client.wait("later").scenario(), "x: steps[2].client.wait.time: 'later' is not a "),
        (lambda: begin().exchange("gopher").scenario(), "x: steps[2].exchange.gopher: is not known here; "),
        (lambda: Scenario.build("x y").client.connect().scenario(), "x y: name: 'x y' does not fit; expected letters"),
        (lambda: Scenario.from_dict({}), "<scenario>: name: is missing"),
        (lambda: Scenario.from_dict([1]), "a scenario is not a list; expected a mapping with keys such as 'steps'"),  # type: ignore[arg-type]
        (lambda: Scenario.from_dict({"name": "x", "steps": [5]}), "x: steps[1]: 5 is not a mapping; expected a step"),
        (
            lambda: begin().client.send(lambda _: "a").play(),
            "x: steps[2].client: cannot send: its function returned str",
        ),  # type: ignore[arg-type,return-value]
        (
            lambda: begin().client.close().client.send(b"a").play(),
            "x: steps[3].client: cannot send: connection closing",
        ),
        (lambda: begin().server.receive(5).play(), "x: steps[2]: server receive never completes: 0 octets arrived"),
        (lambda: begin(faults=["nonsense"]).play(), "x: faults[1]: 'nonsense' is not a fault"),
    ],
)
def test_mistakes_are_named_by_their_key_and_no_line(make: Callable[[], object], expected: str) -> None:
    with pytest.raises(ScenarioError) as error:
        make()
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_endless_nesting_is_an_error() -> None:
    values: dict[str, Any] = {"name": "x"}
    values["client"] = values
    with pytest.raises(ScenarioError, match="nested more than"):
        Scenario.from_dict(values)


def test_an_error_in_a_function_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        begin().client.send(lambda _: bytes(1 // 0)).play()


def test_a_function_in_a_file_is_refused() -> None:
    text = "name: x\nsteps:\n- client: connect\n- client: {send: {reply: hello}}\n"
    with pytest.raises(ScenarioError, match=r"<text>:4: steps\[2\].client.send.reply: 'hello' is not a function"):
        Scenario.parse(text)
