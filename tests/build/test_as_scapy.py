"""Scapy scripts: run, they write the packets of their trace."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from scapy.config import conf

from labkit.build.as_scapy import script
from labkit.build.faults import inject
from labkit.build.scenario import Scenario, shipped
from labkit.build.script import parse
from labkit.build.trace import Trace
from labkit.capture import open_capture
from labkit.cli import Exit, run
from labkit.errors import UsageError

PCAPS = Path(__file__).parents[2] / "pcaps"
ONE_POINT = [name for name in shipped() if name != "lossy-both-sides"]


def packets(source):
    with open_capture(source) as capture:
        return [(each.time, each.data, max(each.wirelen, len(each.data)), each.link) for each in capture]


def written_by(trace):
    target = BytesIO()
    trace.write(target, format="pcap")
    target.seek(0)
    return packets(target)


def run_here(text, target, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script", str(target)])
    monkeypatch.setattr(conf.l2types, "layer2num", dict(conf.l2types.layer2num))  # to which a script may add
    exec(compile(text, "script.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - that is the test
    return packets(target)


@pytest.mark.parametrize("name", ONE_POINT)
def test_a_script_makes_the_packets_of_its_scenario(name, tmp_path, monkeypatch):
    trace = Scenario.load(name).play()
    text = script(trace)
    assert run_here(text, tmp_path / "a.pcap", monkeypatch) == written_by(trace)
    # Scapy 2.8.0 cannot write the value of a TCP-AO option as Python.
    assert ("fromhex" in text) == (name == "authentication-option")


@pytest.mark.parametrize(
    "fault",
    [
        "ack-of-unsent-data",
        "headers-do-not-fit",
        "wrong-ip-checksum",
        "wrong-tcp-checksum",
        "partial-checksum",
        "illegal-option-length",
        "options-not-in-order",
    ],
)
def test_a_script_makes_faults(fault, tmp_path, monkeypatch):
    trace = inject(Scenario.load("document").play(), [fault])
    assert run_here(script(trace), tmp_path / "a.pcap", monkeypatch) == written_by(trace)


@pytest.mark.parametrize(
    "line",
    [
        "> P. 1:100(99) ack 1 {caplen=60}",
        "> P. 1:3000(2999) ack 1 {fragment=600}",
        "> P. 1:100(99) ack 1 <nop,nop,nop,nop>",
        "> S 1:1(0) <mss 1460> {sum=partial}",
        r'> P. 1:7(6) ack 1 "\x00\"a\n{}"',
    ],
)
def test_a_script_makes_odd_packets(line, tmp_path, monkeypatch):
    trace = parse(line)
    assert run_here(script(trace), tmp_path / "a.pcap", monkeypatch) == written_by(trace)


@pytest.mark.parametrize("name", ["http-vlan", "fragmented-ipv6"])
def test_a_script_makes_the_packets_of_a_capture(name, tmp_path, monkeypatch):
    trace = Trace.from_capture(PCAPS / f"{name}.pcapng")
    assert run_here(script(trace), tmp_path / "a.pcap", monkeypatch) == written_by(trace)


def test_several_interfaces_are_refused():
    with pytest.raises(UsageError, match="several interfaces"):
        script(Scenario.load("lossy-both-sides").play())


def test_a_name_cannot_end_the_docstring():
    trace = parse("> S 0:0(0)  # a\x0bimport os")
    text = script(Trace('x"""\nimport os\\', "", None, trace.start, trace.connections, trace.records))
    compile(text, "script.py", "exec")
    assert not any(line.startswith("import os") for line in text.splitlines())


def test_the_command_writes_a_script(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["build", "document", "--as-scapy"]) == Exit.OK
    assert run(["build", "document", "-o", "want.pcap"]) == Exit.OK
    subprocess.run([sys.executable, "document.py"], check=True, timeout=60)
    assert packets("document.pcap") == packets("want.pcap")
    assert "document.py: a Python script" in capsys.readouterr().err
    assert run(["build", "document", "--as-scapy", "--flows", "3"]) == Exit.USAGE
    assert "--as-scapy excludes --flows" in capsys.readouterr().err
