"""The programs to measure: their commands for reading a capture, and their versions."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench_captures import LABKIT

SCAPY_READ = """
import sys
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader
for packet in PcapReader(sys.argv[1]): pass
"""
DPKT_READ = """
import dpkt, sys
with open(sys.argv[1], "rb") as file:
    for time, octets in dpkt.pcap.UniversalReader(file):
        dpkt.ethernet.Ethernet(octets)
"""
SCAPY_WRITE = """
import sys
from time import perf_counter
from labkit import Scenario
from scapy.utils import wrpcap
wanted = Scenario.load("document")
packets = [packet for seed in range(int(sys.argv[1]) // 10) for packet in wanted.play(seed).packets()]
begin = perf_counter()
wrpcap(sys.argv[2], packets)
print(perf_counter() - begin)
"""
"""Measures only the writing: the packets exist before, with their fields."""

SIMULATE = """
import sys
from pathlib import Path
from time import process_time
from labkit import Scenario
wanted = Scenario.load(Path(sys.argv[1]))
wanted.play()
begin, segments = process_time(), 0
for seed in range(int(sys.argv[2])):
    segments += len(tuple(wanted.play(seed)))  # records are made when they are read
print(process_time() - begin, segments)
"""


@dataclass(frozen=True)
class Tool:
    """A program that reads captures."""

    name: str
    does: str
    command: Callable[[Path], list[str]]
    expected: tuple[int, ...] = (0,)


def tools(scratch: Path) -> list[Tool]:
    """Return all programs, labkit first; they write into the folder `scratch`."""
    python = sys.executable
    return [
        Tool("labkit", "all rules and checksums", verify, (0, 1)),
        Tool(
            "tcpdump", "copies the file", lambda path: ["tcpdump", "-n", "-r", str(path), "-w", str(scratch / "copy")]
        ),
        Tool("tcptrace", "follows connections, no checksums", lambda path: ["tcptrace", "-n", str(path)]),
        Tool(
            "tshark",
            "analysis of sequence numbers",
            lambda path: ["tshark", "-n", "-r", str(path), "-Y", "tcp.analysis.flags"],
        ),
        Tool("dpkt", "decodes each packet", lambda path: [python, "-c", DPKT_READ, str(path)]),
        Tool("Scapy", "decodes each packet", lambda path: [python, "-c", SCAPY_READ, str(path)]),
    ]


def verify(path: Path) -> list[str]:
    """labkit's command, with the compiled engine if there is one."""
    return [*LABKIT, "verify", *(["--engine", "compiled"] if compiled() else []), str(path)]


def compiled() -> bool:
    """Whether labkit's command has the option --engine."""
    from labkit.cli.verify import command

    return any(parameter.name == "engine" for parameter in command.params)


def versions() -> dict[str, str | None]:
    """Return the version of each program; None if it is not installed."""
    found: dict[str, str | None] = {"labkit": version("labkit"), "Python": platform.python_version()}
    for name, option in (("tcpdump", "--version"), ("tcptrace", "-v"), ("tshark", "--version")):
        found[name] = _version(name, option)
    for name in ("dpkt", "scapy", "llvmlite"):
        try:
            found[name.replace("scapy", "Scapy")] = version(name)
        except PackageNotFoundError:
            found[name.replace("scapy", "Scapy")] = None
    return found


def _version(name: str, option: str) -> str | None:
    if shutil.which(name) is None:
        return None
    done = subprocess.run([name, option], capture_output=True, text=True, check=False, errors="replace")
    match = re.search(r"\d+\.\d+[\d.]*", done.stdout + done.stderr)
    return match[0] if match else "?"


def machine() -> dict[str, str]:
    """Describe the kind of machine, without its name."""
    about = Path("/proc/cpuinfo").read_text("utf-8", "replace") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", about)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model[1].strip() if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }
