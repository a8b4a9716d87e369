"""The shipped scenarios: no rule is broken, whatever the seed and the initial numbers, and Wireshark shows what each of
them says.
"""

import shutil
import subprocess
from collections import defaultdict
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from wireshark import needs_wireshark_4_0

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario, shipped
from labkit.build.scenario.units import Range
from labkit.build.trace import Connection, Trace
from labkit.capture import create
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host

SEEDS = (0, 1, 2)
MEASURES = {
    f"tcp.analysis.{name}"
    for name in (
        "ack_rtt",
        "acks_frame",
        "bytes_in_flight",
        "duplicate_ack_frame",
        "duplicate_ack_num",
        "flags",
        "initial_rtt",
        "push_bytes_sent",
        "rto",
        "rto_frame",
    )
}
"""Fields that tshark shows for ordinary segments."""


def grave(trace: Trace, path: Path) -> list[tuple[str, int | None, str]]:
    trace.write(path)
    return [(each.code, each.packet, each.message) for each in verify(path).findings if each.severity > Severity.NOTE]


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_no_rule_is_broken_with_any_seed(name, tmp_path):
    scenario = Scenario.load(name)
    assert [found for seed in SEEDS for found in grave(scenario.play(seed), tmp_path / "a.pcapng")] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_no_rule_is_broken_when_numbers_wrap(name, tmp_path):
    scenario = Scenario.load(name)
    near = {"isn": Range(2**32 - 60, 2**32 - 1)}
    sides = {side: getattr(scenario.model, side).model_copy(update=near) for side in ("client", "server")}
    wrapping = Scenario(scenario.source, scenario.model.model_copy(update=sides))
    assert grave(wrapping.play(), tmp_path / "a.pcapng") == []


@pytest.mark.parametrize("name", shipped())
def test_each_scenario_describes_itself(name):
    scenario = Scenario.load(name)
    assert scenario.name == name
    assert scenario.summary
    assert scenario.look
    assert "wireshark" in scenario.source.data
    assert list(scenario.wireshark) == sorted(set(scenario.wireshark))


def readdressed(trace: Trace, number: int) -> Trace:
    """The same segments between other hosts, so that one capture can hold many traces."""
    places: dict[str, int] = {}

    def moved(host: Host) -> Host:
        place = places.setdefault(host.address, len(places) + 1)
        ipv6 = ":" in host.address
        return replace(host, address=f"2001:db8:{number:x}::{place:x}" if ipv6 else f"10.0.{number}.{place}")

    connections = tuple(
        Connection(moved(each.client), moved(each.server), each.client_isn, each.server_isn)
        for each in trace.connections
    )
    return replace(trace, connections=connections)


@needs_wireshark_4_0
def test_wireshark_shows_the_flags_that_are_declared(tmp_path):
    target = tmp_path / "all.pcapng"
    owners: list[tuple[str, int]] = []
    declared: dict[tuple[str, int], set[str]] = {}
    with create(target, link=ETHERNET) as writer:
        for name in shipped():
            scenario = Scenario.load(name)
            for seed in SEEDS:
                trace = readdressed(scenario.play(seed), len(declared))
                declared[name, seed] = set(scenario.wireshark)
                for time, octets, _ in trace.frames():
                    owners.append((name, seed))
                    writer.write(time, octets)
    listed = subprocess.run(["tshark", "-G", "fields"], capture_output=True, text=True, check=True).stdout
    flags = [line.split("\t")[2] for line in listed.splitlines() if "\ttcp.analysis." in line]
    flags = [flag for flag in flags if flag not in MEASURES]
    columns = [option for flag in ("_ws.malformed", "tcp.option.len.invalid", *flags) for option in ("-e", flag)]
    command = ["tshark", "-2", "-n", "-r", str(target), "-T", "fields", *columns]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = defaultdict(set)
    for owner, line in zip(owners, shown, strict=True):
        malformed, length, *cells = line.split("\t")
        assert malformed == length == "", owner
        found[owner] |= {flag for flag, cell in zip(flags, cells, strict=True) if cell}
    assert found == declared


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("http", "http.request.uri", ["/index.html", "/picture.png"]),
        ("http", "http.response.code", ["200", "404"]),
        ("http-ipv6", "http.request.method", ["PUT"]),
        ("http-ipv6", "http.response.code", ["204"]),
        ("http-vlan", "http.response.code", ["200"]),
        ("http-vlan", "vlan.id", ["200"] * 11),
        ("http-vlan", "ieee8021ad.id", ["100"] * 11),
        ("smtp", "smtp.response.code", ["220", "250", "250", "250", "354", "250", "221"]),
        ("smtp", "smtp.req.command", ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]),
        ("dns", "dns.qry.name", ["www.example"] * 4 + ["example"] * 2),
        ("dns", "dns.a", ["192.0.2.80,192.0.2.81"]),
        ("dns", "dns.aaaa", ["2001:db8::80"]),
        ("dns", "dns.mx.mail_exchange", ["mail.example"]),
    ],
)
def test_tshark_decodes_the_messages(name, field, values, tmp_path):
    target = tmp_path / "a.pcapng"
    Scenario.load(name).play().write(target)
    # Newer versions show the request's fields with its response, too.
    wanted = f"{field} && !http.response" if field.startswith("http.request") else field
    command = ["tshark", "-n", "-r", str(target), "-Y", wanted, "-T", "fields", "-e", field]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1] == values


@pytest.mark.parametrize("name", ["document", "conversations", "fragmented"])
def test_the_same_seed_gives_the_same_octets(name):
    texts = []
    for seed in (4, 4, 5):
        stream = BytesIO()
        Scenario.load(name).play(seed).write(stream, format="pcapng")
        texts.append(stream.getvalue())
    assert texts[0] == texts[1] != texts[2]
