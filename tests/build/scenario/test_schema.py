"""The JSON schema accepts all valid scenarios, and rejects common mistakes."""

import json
import re
from typing import Any

import pytest

from labkit.build.scenario import Scenario, shipped
from labkit.build.scenario.complaints import models
from labkit.build.scenario.model import ScenarioModel
from labkit.build.scenario.schema import schema
from labkit.build.scenario.source import parse
from labkit.cli import run

TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
SCHEMA = schema()


def fits(value: Any, node: dict[str, Any]) -> bool:
    """Whether a value is valid, by the keywords of JSON Schema that the schema uses."""
    if "$ref" in node:
        return fits(value, SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in node:
        return any(fits(value, each) for each in node["anyOf"])
    if "enum" in node:
        return value in node["enum"]
    kinds = node.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(isinstance(value, TYPES[kind]) and (kind == "boolean" or value is not True) for kind in kinds):
        return False
    if isinstance(value, str):
        return re.search(node.get("pattern", ""), value) is not None
    if isinstance(value, dict):
        return _mapping_fits(value, node)
    if isinstance(value, list):
        return len(value) >= node.get("minItems", 0) and all(fits(each, node.get("items", {})) for each in value)
    return not isinstance(value, int | float) or node.get("minimum", 0) <= value <= node.get("maximum", value)


def _mapping_fits(value: dict[str, Any], node: dict[str, Any]) -> bool:
    known = node.get("properties", {})
    if not node.get("additionalProperties", True) and not set(value) <= set(known):
        return False
    if not set(node.get("required", [])) <= set(value):
        return False
    if not node.get("minProperties", 0) <= len(value) <= node.get("maxProperties", len(value)):
        return False
    return all(fits(each, known[key]) for key, each in value.items() if key in known)


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
