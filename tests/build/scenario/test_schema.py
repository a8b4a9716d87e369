"""The JSON schema accepts all valid scenarios, and rejects common mistakes."""

import json
from typing import Any

import json_schema
import pytest

from labkit.build.scenario import Scenario, shipped
from labkit.build.scenario.complaints import models
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.schema import schema
from labkit.build.scenario.source import parse
from labkit.cli import run

SCHEMA = schema()


def fits(value: Any, node: dict[str, Any]) -> bool:
    """Whether a value is valid by a part of the scenarios' schema."""
    return json_schema.fits(value, node, SCHEMA)


@pytest.mark.parametrize("name", shipped())
def test_the_schema_accepts_shipped_scenarios(name):
    assert fits(Scenario.load(name).source.data, SCHEMA)


HEAD = "name: a\nsteps:\n  - client: connect\n"


@pytest.mark.parametrize(
    "text",
    [
        "  - client: {send: 99}",
        "  - client: {send: 50..400}",
        "  - client: {send: {octets: 10kB, after: 1ms..2ms, urgent: true}}",
        "  - client: {send: {http: }}\n  - server: {send: {dns: {answers: []}}}",
        "  - client: {wait: 1.5 s}\n  - server: {close: }\n  - client: {abort: {at_once: true}}",
        "  - exchange: http\n  - exchange: {dns: }\n  - exchange: {smtp: {body: 1kB}, think: 0}",
        '  - client: {segments: "R 1:1(0)"}\n  - server: {segments: {lines: "S 0:0(0)", after: 1s}}',
        "vlan: 7",
        "vlan: [7, {id: 8, priority: 1}]",
        "conversations: {count: 3, clients: 10.0.0.0/8, server_ports: [80, 90..99], listening: 80, arrivals: every 1s}",
        "path: {rtt: 0, mtu: 576, to_client: {loss: 2%, late: {4: 1ms}, burst: {chance: 0.1}, lose: [1]}}",
        "client: {isn: random, window_scale: off, delayed_ack: off, congestion: off, fast_open: request}",
        "client: {isn: 4294967295, keep_alive: 2min, fast_open: a0b1c2d3, mss: 536, mac: '02:00:00:00:00:01'}",
        "start: 2026-03-01T12:00:00Z\nlook: one line\nwireshark: [tcp.analysis.window_full]\nlink: raw",
    ],
)
def test_the_schema_accepts_valid_scenarios(text):
    Scenario.parse(f"{HEAD}{text}\n")
    assert fits(parse(f"{HEAD}{text}\n", "x").data, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "clinet: {}",
        "link: atm",
        "client: {prot: 80}",
        "client: {port: many}",
        "path: {rtt: soon}",
        "path: {to_server: {burst: {length: 4}}}",
        "  - client: conect",
        "  - client: {send: 5, close: }",
        "  - client: connect\n    server: close",
        "  - exchange: ftp",
        "  - client: {send: {octet: 5}}",
        "conversations: {clients: 10.0.0.0/8}",
        "vlan: []",
    ],
)
def test_the_schema_rejects_invalid_scenarios(text):
    assert not fits(parse(f"{HEAD}{text}\n", "x").data, SCHEMA)


def test_the_schema_has_every_key():
    text = json.dumps(SCHEMA)
    for model in models(ScenarioModel):
        # Only code has functions.
        assert all(f'"{key}"' in text for key in model.model_fields if key != "reply")
    assert '"default"' not in text


def test_the_command_prints_it(capsys):
    assert run(["schema"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == SCHEMA
    assert captured.err == ""


def test_texts_below_fields_describe_them():
    assert SCHEMA["properties"]["capture"]["description"].startswith("The capture point.")
    assert SCHEMA["$defs"]["Timing"]["properties"]["after"]["description"].startswith("A think time:")
    assert SCHEMA["$defs"]["Wait"]["properties"]["after"]["description"].startswith("A think time:"), "inherited"
    described = [each for part in SCHEMA["$defs"].values() for each in part.get("properties", {}).values()]
    assert sum("description" in each for each in described) > 30
