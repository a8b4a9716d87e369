"""Write a trace as a Python script that makes the same packets with Scapy."""

from labkit.build.trace import Trace
from labkit.errors import UsageError
from labkit.i18n import _
from labkit.packet.scapy_build import command_of
from labkit.tcp.segment import control_names

HEAD = '''\
#!/usr/bin/env python3
"""{title}

Writes the packets to a pcap file, {file} or the given one.
"""

import sys

{imports}

packets = []


def add(time, packet, wirelen=None):
    packet.time = EDecimal(time)
    packet.wirelen = wirelen
    packets.append(packet)


'''

TAIL = """
if __name__ == "__main__":
    wrpcap(sys.argv[1] if len(sys.argv) > 1 else {file!r}, packets, nano=True, linktype={link})
"""

RAW = """

# Scapy before 2.8 writes octets only if it knows which link they are of.
conf.l2types.register_layer2num({link}, Raw)"""


def script(trace: Trace) -> str:
    """A Python script that writes the packets of a trace with Scapy: the same octets at the same times.

    A packet is written with its layers where Scapy builds the same octets of them, else as its octets. UsageError for a trace
    that was captured at several interfaces.
    """
    if len({record.tap for record in trace}) > 1 or (trace.origin is not None and len(trace.origin.interfaces) > 1):
        raise UsageError(_("the capture has several interfaces, and the script's file one; expected one capture point"))
    lines: list[str] = []
    used = {"scapy.utils": {"EDecimal", "wrpcap"}}
    for number, (each, made) in enumerate(zip(trace.file(), trace.packets(), strict=True), 1):
        code, layers = command_of(made, each.octets)
        for module, name in layers:
            used.setdefault(module, set()).add(name)
        record = each.record
        words = "no TCP segment" if record is None else f"{record.sender} {control_names(record.segment.ctl)}"
        step = "" if record is None or not record.step else f": {' '.join(record.step.split())}"
        length = "" if each.wirelen == len(each.octets) else f", wirelen={each.wirelen}"
        stamp = f"{each.time // 1_000_000_000}.{each.time % 1_000_000_000:09d}"
        lines += [f"# {number}: {words}{step}", f'add("{stamp}", {code}{length})']
    if "Raw" in used.get("scapy.packet", ()):
        used["scapy.config"] = {"conf"}
    imports = "\n".join(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(used.items()))
    title = _in_docstring(f"{trace.name}: {trace.summary or 'a conversation'}")
    file = f"{trace.name}.pcap"
    return (
        HEAD.format(title=title, file=_in_docstring(file), imports=imports)
        + "\n".join(lines)
        + (RAW.format(link=trace.link) if "Raw" in used.get("scapy.packet", ()) else "")
        + "\n"
        + TAIL.format(file=file, link=trace.link)
    )


def _in_docstring(text: str) -> str:
    """The text in one line, without what would end a docstring."""
    return " ".join(text.replace("\\", "").replace('"', "'").split())
