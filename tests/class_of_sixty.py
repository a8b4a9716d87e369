"""A class of sixty that hands in `handshake` as classes do: right, wrong in thirty ways, not at all, and from each other.

`CASES` is the table of what they do and of what the row of each must say. `make` builds the hand-outs, and then the hand-ins
from each student's own numbers.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from labkit.build.faults import inject
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.capture import create
from labkit.cli import run
from labkit.tcp.options import Mss
from labkit.tcp.segment import ACK, FIN, RST, SYN
from labkit.tcp.seq import add
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import material

Files = dict[str, bytes]


def saved(trace: Trace, format_: str = "pcap", *around: Trace) -> bytes:
    """A trace as a file, with the packets of others around it."""
    packets = [each for one in (trace, *around) for each in one.frames()]
    stream = BytesIO()
    with create(stream, link=trace.link, format=format_) as writer:
        for time, octets, _comment in sorted(packets, key=lambda each: each[0]):
            writer.write(time, octets)
    return stream.getvalue()


def zipped(files: Files) -> bytes:
    stream = BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, octets in files.items():
            archive.writestr(name, octets)
    return stream.getvalue()


def without(trace: Trace, *numbers: int) -> Trace:
    """A trace without some packets."""
    return replace(trace, records=[each for each in trace.records if each.number not in numbers])


def changed(trace: Trace, number: int, **fields: object) -> Trace:
    """A trace with other fields in one packet; `seq` and `ack` are added to."""
    records = list(trace.records)
    segment = records[number - 1].segment
    for name in ("seq", "ack"):
        if name in fields:
            fields[name] = add(getattr(segment, name), int(str(fields[name])))
    records[number - 1] = replace(records[number - 1], segment=segment.with_(**fields))
    return replace(trace, records=records)


def shifted(trace: Trace, side: str, start: int, by: int) -> Trace:
    """A trace in which a side's numbers are off from a packet on, and the peer follows."""
    for record in trace.records[start - 1 :]:
        trace = changed(trace, record.number, **({"seq": by} if record.sender == side else {"ack": by}))
    return trace


def fault(*names: str) -> Callable[[Trace], Trace]:
    return lambda trace: inject(trace, names)


def ends(trace: Trace, **ports: int) -> Trace:
    connection = trace.connections[0]
    client = replace(connection.client, port=ports.get("client", connection.client.port))
    server = replace(connection.server, port=ports.get("server", connection.server.port))
    return replace(trace, connections=(replace(connection, client=client, server=server),))


def kernel_reset(trace: Trace) -> Trace:
    """The client's kernel, which knows nothing of the connection, answers the SYN ACK with a RST."""
    third = trace.records[2]
    rst = third.segment.with_(ctl=RST, ack=0, payload=b"", options=())
    records = [*trace.records[:2], replace(third, segment=rst, time=third.time - 1), *trace.records[2:]]
    return replace(trace, records=[replace(each, number=number) for number, each in enumerate(records, 1)])


@dataclass(frozen=True)
class Case:
    """What one student does, and what the row must say."""

    name: str
    points: float
    packet: int | None = None
    why: str = ""
    """Words of the first error, or of the remarks."""
    status: str = "graded"
    edit: Callable[[Trace], Trace] | None = None
    files: Callable[[Trace], Files] | None = None
    remark: str = ""
    """The kind of remark for a person to judge."""
    of: str = ""
    """The case whose student's work it is."""


BROWSER = Scenario.load("browser").play(3)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def file(name: str, format_: str = "pcap") -> Callable[[Trace], Files]:
    return lambda trace: {name: saved(trace, format_)}


RIGHT = [
    Case("as-pcap", 10, files=file("handshake.pcap")),
    Case("as-pcapng", 10, files=file("handshake.pcapng", "pcapng")),
    Case("with-gzip", 10, files=lambda trace: {"handshake.pcap.gz": gzip.compress(saved(trace), mtime=0)}),
    Case("named-cap", 10, files=file("My Work (final) 2.cap")),
    Case("without-suffix", 10, files=file("handshake")),
    Case("without-options", 10, edit=lambda trace: changed(changed(trace, 1, options=()), 2, options=())),
    Case("without-psh", 10, edit=lambda trace: changed(changed(trace, 4, ctl=ACK), 5, ctl=ACK)),
    Case("other-client-port", 10, edit=lambda trace: ends(trace, client=20)),
    Case("other-mss", 10, edit=lambda trace: changed(trace, 1, options=(Mss(1400),))),
    Case("reply-acknowledged-apart", 10, edit=lambda trace: trace),
    Case("third-ack-with-the-request", 10, edit=lambda trace: without(trace, 3)),
    Case("browser-around", 10, files=lambda trace: {"all.pcapng": saved(trace, "pcapng", BROWSER)}),
    Case("in-a-zip", 10, files=lambda trace: {"homework.zip": zipped({"homework/handshake.pcap": saved(trace)})}),
    Case(
        "zip-in-zip",
        10,
        files=lambda trace: {
            "a.zip": zipped({"b.zip": zipped({"handshake.pcap": saved(trace)}), "__MACOSX/._b.zip": b"x"})
        },
    ),
    Case(
        "with-a-report",
        10,
        files=lambda trace: {"handshake.pcap": saved(trace), "report.pdf": PDF},
    ),
    Case(
        "two-files",
        10,
        why="a-first-try.pcap (8)",
        files=lambda trace: {
            "a-first-try.pcap": saved(fault("third-segment-wrong")(trace)),
            "handshake.pcap": saved(trace),
        },
    ),
]

WRONG = [
    Case("syn-ack-acks-the-isn", 8, 2, "SYN ACK has ack", edit=lambda trace: changed(trace, 2, ack=-1)),
    Case("syn-ack-acks-two-more", 8, 2, "SYN ACK has ack", edit=lambda trace: changed(trace, 2, ack=1)),
    Case("third-acks-the-isn", 8, 3, "third segment", edit=fault("third-segment-wrong")),
    Case("third-seq-is-the-isn", 8, 3, "third segment", edit=lambda trace: changed(trace, 3, seq=-1)),
    Case("syn-ack-is-missing", 7.5, 2, "no SYN ACK", edit=lambda trace: without(trace, 2)),
    Case("syn-ack-without-ack", 8, 2, "lacks the ACK bit", edit=lambda trace: changed(trace, 2, ctl=SYN)),
    Case("request-skips", 9, 4, "7 too high", edit=lambda trace: shifted(trace, "client", 4, 7)),
    Case("pure-ack-counted", 9, 4, "pure ACK", edit=lambda trace: shifted(trace, "client", 4, 1)),
    Case("reply-acks-one-less", 9, 5, "last byte", edit=lambda trace: changed(trace, 5, ack=-1)),
    Case("reply-acks-one-more", 9, 5, "sends only later", edit=lambda trace: changed(trace, 5, ack=1)),
    Case("reply-counts-headers", 9, 5, "headers", edit=lambda trace: changed(trace, 5, ack=40)),
    Case("reply-seq-jumps", 9, 5, "never sent", edit=lambda trace: changed(trace, 5, seq=1000)),
    Case("relative-numbers", 9, 4, "relative number", edit=lambda trace: relative(trace)),
    Case("swapped-numbers", 9, 5, "swapped", edit=lambda trace: swapped(trace, 5)),
    Case("client-ack-too-high", 9, 6, "has not sent", edit=lambda trace: changed(trace, 6, ack=500)),
    Case("client-fin-too-early", 8, 7, "", edit=lambda trace: changed(trace, 7, seq=-10)),
    Case("client-fin-not-counted", 8, 8, "FIN", edit=lambda trace: changed(changed(trace, 8, ack=-1), 9, ack=-1)),
    Case("last-ack-without-fin", 8, 10, "FIN", edit=fault("fin-not-acknowledged")),
    Case("last-seq-without-fin", 9, 10, "SYN or FIN", edit=lambda trace: changed(trace, 10, seq=-1)),
    Case("last-ack-is-missing", 8, 7, "second FIN", edit=lambda trace: without(trace, 10)),
    Case("no-close", 8, None, "nobody sends a FIN", edit=lambda trace: without(trace, 7, 8, 9, 10)),
    Case("half-a-close", 8, 7, "only the client", edit=lambda trace: without(trace, 9, 10)),
    Case("three-segments", 8, 7, "3 segments", edit=lambda trace: without(trace, 8)),
    Case("closed-by-reset", 8, None, "", edit=lambda trace: changed(without(trace, 8, 9, 10), 7, ctl=RST | ACK)),
    Case("server-ports", 9.5, 1, "port is 80", edit=lambda trace: ends(trace, server=80)),
    Case("document-numbers", 9, 1, "has seq 0", edit=lambda trace: numbered(trace, 0, 0)),
    Case("one-byte-too-few", 9.5, 4, "bytes", edit=lambda trace: shorter(trace)),
    Case("kernel-reset", 9, 4, "kernel", edit=kernel_reset),
    Case("checksum-by-hand", 9, 4, "checksum", edit=fault("wrong-tcp-checksum@4")),
    Case("fin-without-ack-bit", 9, 7, "ACK", edit=lambda trace: changed(trace, 7, ctl=FIN)),
    Case("only-a-syn", 1, None, "SYN ACK is missing", edit=lambda trace: without(trace, *range(2, 11))),
]

OTHERS = [
    Case("nothing", 0, None, "nothing was handed in", "nothing", files=lambda _trace: {}),
    Case("empty-file", 0, None, "the file is empty", "empty", files=lambda _trace: {"handshake.pcap": b""}),
    Case(
        "empty-capture",
        0,
        None,
        "no packet",
        "empty",
        files=lambda trace: {"a.pcap": saved(replace(trace, records=[]))},
    ),
    Case("renamed-pdf", 0, None, "a PDF document", "wrong-type", files=lambda _trace: {"handshake.pcap": PDF}),
    Case("screenshot", 0, None, "a PNG picture", "wrong-type", files=lambda _trace: {"Screenshot.png": PNG}),
    Case(
        "text-export",
        0,
        None,
        "a text",
        "wrong-type",
        files=lambda _trace: {"h.txt": b"No. Time Source\n1 0.0 192.0.2.10\n"},
    ),
    Case("truncated", 8, 7, "damaged", "damaged", files=lambda trace: {"handshake.pcap": saved(trace)[:-190]}),
    Case("destroyed", 0, None, "damaged", "unreadable", files=lambda trace: {"handshake.pcap": saved(trace)[:30]}),
    Case("without-tcp", 0, None, "TCP", "no-tcp", files=lambda _trace: {"dns.pcap": udp()}),
    Case("copied", 8, 1, "port", remark="identical", of="as-pcap"),
    Case("copied-and-saved-again", 8, 1, "port", remark="same-packets", of="as-pcapng"),
    Case("someone-elses", 8, 1, "port", remark="someone-elses", of="other-mss"),
    Case("locked-zip", 0, None, "encrypted", "refused", files=lambda _trace: {"handshake.zip": locked()}),
]

CASES = [*RIGHT, *WRONG, *OTHERS]


def relative(trace: Trace) -> Trace:
    """After the handshake both sides go on with relative numbers."""
    for record in trace.records[3:]:
        own, peer = trace.connections[0].isns(record.sender)
        trace = changed(trace, record.number, seq=-own, ack=-peer)
    return trace


def swapped(trace: Trace, number: int) -> Trace:
    segment = trace.records[number - 1].segment
    by = segment.ack - segment.seq
    return changed(trace, number, seq=by, ack=-by)


def numbered(trace: Trace, client: int, server: int) -> Trace:
    own = trace.connections[0]
    by = client - own.client_isn, server - own.server_isn
    for record in trace.records:
        mine, peers = by if record.sender == "client" else by[::-1]
        acks = {"ack": peers} if record.segment.ctl & ACK else {}
        trace = changed(trace, record.number, seq=mine, **acks)
    return trace


def shorter(trace: Trace) -> Trace:
    """The request is a byte too short, and all numbers follow."""
    payload = trace.records[3].segment.payload[:-1]
    trace = changed(trace, 4, payload=payload)
    for record in trace.records[4:]:
        trace = changed(trace, record.number, **({"seq": -1} if record.sender == "client" else {"ack": -1}))
    return trace


def udp() -> bytes:
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    stream = BytesIO()
    with create(stream, link=1, format="pcap") as writer:
        writer.write(0, bytes(Ether(src="02:00:00:00:00:01") / IP(dst="192.0.2.1") / UDP(dport=53) / b"name"))
    return stream.getvalue()


def locked() -> bytes:
    octets = bytearray(zipped({"handshake.pcap": b"secret"}))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = octets.index(mark) + (6 if mark == b"PK\x03\x04" else 8)
        octets[at] |= 1
    return bytes(octets)


def student(number: int) -> str:
    return f"s{1000 + number}"


def make(folder: Path) -> None:
    """Build roster, hand-outs and hand-ins in a folder."""
    lines = ["ID;Last name;First name;E-mail"]
    lines += [f"{student(n)};Müller{chr(65 + n % 26)}{n};Ann{n};{student(n)}@example.edu" for n in range(len(CASES))]
    (folder / "class.csv").write_text("sep=;\r\n" + "\r\n".join(lines) + "\r\n", "utf-8-sig")
    (folder / "key").write_bytes(bytes(range(32)))
    arguments = ["assign", "build", "handshake", "--roster", str(folder / "class.csv"), "-o", str(folder / "handouts")]
    assert run([*arguments, "--answers", str(folder / "answers.json"), "--key", str(folder / "key")]) == 0
    key = json.loads((folder / "answers.json").read_text("utf-8"))
    assignment = Assignment.load("handshake")
    traces = {}
    for number, each in enumerate(key["students"]):
        traces[CASES[number].name] = material(assignment, int(each["seed"], 16), each["place"]).trace
    for number, case in enumerate(CASES):
        for name, octets in work(case, traces).items():
            place = folder / "handins" / student(number) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(octets)


def distinct(trace: Trace, name: str) -> Trace:
    """The trace with payload and times of a student's own, as no two students have the same."""
    records = []
    for record in trace.records:
        segment = record.segment
        if segment.payload:
            text = f"{name} says hello; ".encode() * 20
            segment = segment.with_(payload=text[: len(segment.payload)])
        records.append(
            replace(record, segment=segment, time=record.time + len(name) * 1000 * record.number, ident=None)
        )
    return replace(trace, records=records)


def work(case: Case, traces: dict[str, Trace]) -> Files:
    """The files that a student hands in."""
    if case.of:
        other = next(each for each in CASES if each.name == case.of)
        if case.remark == "someone-elses":
            return {"mine.pcap": saved(distinct(traces[other.name], case.name))}
        files = work(other, traces)
        if case.remark == "identical":
            return {"mine.pcap": next(iter(files.values()))}
        return {"mine.pcap": saved(distinct(traces[other.name], other.name))}
    trace = distinct(traces[case.name], case.name)
    if case.edit is not None:
        return {"handshake.pcap": saved(case.edit(trace))}
    assert case.files is not None
    return case.files(trace)
