"""Simulate the templates of a bulk file, and find the slots in their packets."""

from collections.abc import Iterator
from itertools import groupby

from labkit.build.bulk.bulk_plan import PROBES, BulkPlan, Field, Slot, Template, TemplateRow
from labkit.build.scenario import Scenario, merge, setup
from labkit.build.scenario.fields import Pool
from labkit.build.scenario.header import COUNTED, first_ident, header_of
from labkit.build.scenario.model import Conversations, ScenarioModel
from labkit.build.scenario.setup import Parts
from labkit.build.trace import Record, Trace
from labkit.errors import ScenarioError, UsageError
from labkit.i18n import _
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host
from labkit.tcp.segment import ACK, RST

MAX_FLOWS = 100_000_000
"""Conversations of a bulk file."""
MAX_ADDRESSES = 1 << 20
"""The number of addresses that a bulk file uses of a pool."""
MAX_TEMPLATES = 16
"""Conversations of a bulk file that are simulated."""
MAX_TEMPLATE_PACKETS = 20_000
"""With this many packets in its templates, a scenario gets no further one."""
BENCHMARKS = {4: "198.18.0.0/15", 6: "2001:2::/111"}
"""The clients' addresses if the scenario has no pool: those for benchmarks (RFC 2544 and RFC 5180)."""


def prepare(scenario: Scenario, flows: int, seed: int) -> BulkPlan:
    """Simulate the templates of `flows` conversations.

    ScenarioError if the simulation fails or there are too few addresses and ports. UsageError if the scenario has faults,
    signatures or fragments that cut TCP headers.
    """
    if not isinstance(scenario, Scenario):
        raise UsageError(
            _("cannot take a value of type {kind}; expected a scenario").format(kind=type(scenario).__name__)
        )
    model = scenario.model
    if model.faults:
        raise UsageError(
            _("{name}: has faults; a file of many flows cannot have any").format(name=scenario.source.name)
        )
    if model.scripted or any(step.action is not None and step.action.segments for step in model.steps):
        raise UsageError(
            _("{name}: has segments as written; copies for many flows would have the same numbers").format(
                name=scenario.source.name
            )
        )
    if any(side.md5 or side.ao for side in (model.client, model.server)):
        raise UsageError(
            _("{name}: signs its segments; copies for many flows would have wrong signatures").format(
                name=scenario.source.name
            )
        )
    if not isinstance(flows, int) or not 1 <= flows <= MAX_FLOWS:
        raise UsageError(_("{flows} flows: expected 1 to {max_flows}").format(flows=flows, max_flows=MAX_FLOWS))
    server = setup.host(model, "server", seed)
    given = conversations(model, server)
    ports = given.server_ports or (server.port,)
    listening = frozenset(ports if given.listening is None else given.listening) if model.server.listen else frozenset()
    addresses = 1 if given.clients is None else _addresses(given.clients, int(server.ip))
    room = addresses * (given.ports.high - given.ports.low + 1) * len(ports)
    if flows > room:
        raise ScenarioError(
            _("{name}: addresses and ports suffice for {room} flows; expected at most that many, not {flows}").format(
                name=scenario.source.name, room=room, flows=flows
            )
        )
    used, draws = ports[:flows], min(flows, MAX_TEMPLATES)
    return BulkPlan(
        name=model.name,
        link=setup.framing(model).link,
        start=model.start,
        interfaces=2 if model.capture == "both" else 1,
        seed=seed,
        flows=flows,
        accepted=_templates(scenario, given, seed, draws, listens=True) if listening.intersection(used) else [],
        refused=_templates(scenario, given, seed, draws, listens=False) if set(used) - listening else [],
        ports=ports,
        listening=listening,
        first=None if given.clients is None else given.clients.first,
        addresses=addresses,
        server=int(server.ip),
        client_ports=(given.ports.low, given.ports.high - given.ports.low + 1),
        gap=given.arrivals.gap,
        poisson=given.arrivals.poisson,
    )


def conversations(model: ScenarioModel, server: Host) -> Conversations:
    """The clients and arrivals of the conversations; `count` does not matter."""
    if model.conversations is not None:
        return model.conversations
    return Conversations.model_validate({"count": 1, "clients": BENCHMARKS[server.ip.version]})


def _addresses(pool: Pool, server: int) -> int:
    """The number of addresses that the file uses of a pool. Only their low 32 bits may differ."""
    return min(pool.size(server), MAX_ADDRESSES, 0xFFFF_FFFF - (pool.first & 0xFFFF_FFFF) or 1)


def _templates(scenario: Scenario, given: Conversations, seed: int, draws: int, *, listens: bool) -> list[Template]:
    found: list[Template] = []
    packets = 0
    while len(found) < draws and packets < MAX_TEMPLATE_PACKETS:
        parts = probe(scenario.model, given, seed, len(found), listens=listens)
        trace = merge.play_one(scenario.model, scenario.source, parts)
        found.append(_template(scenario.model, trace, parts, given.clients is not None))
        packets += len(found[-1].rows)
    return found


def probe(model: ScenarioModel, given: Conversations, seed: int, number: int, *, listens: bool) -> Parts:
    """The conversation that becomes a template."""
    hosts = {side: setup.host(model, side, seed) for side in setup.OTHER}
    if given.clients is not None:
        hosts["client"] = setup.pooled(hosts["client"], given.clients, 0, int(hosts["server"].ip))
    return Parts(
        setup.own_seed(seed, number), seed, hosts, listens=listens, tried=given.listening is not None, numbers=PROBES
    )


def _template(model: ScenarioModel, trace: Trace, parts: Parts, pooled: bool) -> Template:
    taps = list(dict.fromkeys(record.tap for record in trace.records))
    rows: list[TemplateRow] = []
    headers = {side: header_of(model, side) for side in setup.OTHER}
    counted = {side: header.ident in COUNTED for side, header in headers.items()}
    for number, group in groupby(trace.captured(), key=lambda each: each[0].number):
        record = trace.records[number - 1]
        datagram = _Datagram(trace, record, [octets for _, octets, _, _ in group], pooled, counted[record.sender])
        rows += (row._replace(interface=taps.index(record.tap)) for row in datagram.rows())
    sides = (model.client, model.server)
    isns = [
        None if side.isn is None else side.isn.draw(parts.seed, f"{name}.isn")
        for side, name in zip(sides, ("client", "server"), strict=True)
    ]
    firsts = [first_ident(headers[side], parts.secret, side) for side in setup.OTHER]
    idents = [
        max((each.ident or 0 for each in trace.records if each.sender == side), default=first) - first
        for side, first in zip(setup.OTHER, firsts, strict=True)
    ]
    return Template(rows, (idents[0], idents[1]), (isns[0], isns[1]))


class _Datagram:
    """The frame of one record, or the frames of its fragments, with their slots."""

    def __init__(self, trace: Trace, record: Record, frames: list[bytes], pooled: bool, counted: bool) -> None:
        self.trace, self.record, self.frames, self.pooled, self.counted = trace, record, frames, pooled, counted
        self.ethernet = trace.link == ETHERNET
        self.ip_at = 14 + 4 * len(trace.framing.vlans) if self.ethernet else 0
        self.version = frames[0][self.ip_at] >> 4
        header = 20 if self.version == 4 else 40 + 8 * (len(frames) > 1)
        self.tcp_at = self.ip_at + header
        own, peer = ("client", "server") if record.sender == "client" else ("server", "client")
        self.numbers = PROBES[own][0], PROBES[peer][0]
        self.client_sends = own == "client"
        self.own_seq, self.peer_seq = self._fields(Field.CLIENT_SEQ, Field.SERVER_SEQ)
        self.own_stamp, self.peer_stamp = self._fields(Field.CLIENT_STAMP, Field.SERVER_STAMP)
        self.ident = self._fields(Field.CLIENT_IDENT, Field.SERVER_IDENT)[0]

    def _fields(self, client: Field, server: Field) -> tuple[Field, Field]:
        """The field of the sender, and that of its peer."""
        return (client, server) if self.client_sends else (server, client)

    def rows(self) -> Iterator[TemplateRow]:
        """A row for each frame."""
        tcp = list(self._tcp())
        first = self.frames[0]
        if any(slot.at + slot.width > len(first) for slot in tcp):
            raise UsageError(
                _("{name}: path.fragment {fragment} cuts TCP headers; many flows need a larger one").format(
                    name=self.trace.name, fragment=self.trace.framing.fragment
                )
            )
        segment = b"".join(octets[self.tcp_at :] for octets in self.frames)
        network = list(self._network())
        for number, octets in enumerate(self.frames):
            slots = network + tcp if number == 0 else [slot._replace(tcp=0) for slot in network]
            yield TemplateRow(
                octets=octets,
                wirelen=len(octets),
                time=self.record.time,
                interface=0,
                slots=slots,
                tcp_sum_at=0 if number else self.tcp_at + 16,
                tcp_sum=0 if number else self._tcp_sum(first, segment, slots),
                ip_sum_at=self.ip_at + 10 if self.version == 4 else 0,
                ip_sum=self._ip_sum(octets, slots) if self.version == 4 else 0,
            )

    def _network(self) -> Iterator[Slot]:
        """The slots before the TCP header."""
        if self.pooled and self.ethernet:
            # The client's MAC ends with its address.
            at = 8 if self.client_sends else 2
            yield Slot("mac", at, Field.CLIENT_ADDRESS, 0, 4)
        if self.pooled:
            size = 4 if self.version == 4 else 16
            at = self.ip_at + (12 if self.version == 4 else 8) + (0 if self.client_sends else size) + size - 4
            yield Slot("address", at, Field.CLIENT_ADDRESS, 0, 4, tcp=1, ip=1)
        ident = self.record.ident or 0
        if not self.counted:
            return
        if self.version == 4:
            yield Slot("ident", self.ip_at + 4, self.ident, ident, 2, ip=1)
        elif len(self.frames) > 1:
            yield Slot("ident", self.ip_at + 44, self.ident, ident, 4)

    def _tcp(self) -> Iterator[Slot]:
        """The slots in the TCP header."""
        segment = self.record.segment
        at = self.tcp_at
        client, server = (at, at + 2) if self.client_sends else (at + 2, at)
        yield Slot("client port", client, Field.CLIENT_PORT, 0, 2, 1)
        yield Slot("server port", server, Field.SERVER_PORT, 0, 2, 1)
        if segment.seq or not segment.ctl & RST:
            yield Slot("seq", at + 4, self.own_seq, segment.seq, 4, 1)
        if segment.ctl & ACK:
            yield Slot("ack", at + 8, self.peer_seq, segment.ack, 4, 1)
        yield from self._options(segment.header, at + 20)

    def _options(self, octets: bytes, start: int) -> Iterator[Slot]:
        """The slots in timestamps and in the edges of SACK blocks (RFC 7323, RFC 2018)."""
        at = 0
        while at < len(octets) and octets[at]:
            if octets[at] == 1:
                at += 1
                continue
            kind, length = octets[at], octets[at + 1]
            places = {8: (("stamp", self.own_stamp), ("echo", self.peer_stamp))}.get(
                kind, [(f"edge {number}", self.peer_seq) for number in range((length - 2) // 4)] if kind == 5 else []
            )
            for number, (column, field) in enumerate(places):
                place = at + 2 + 4 * number
                value = int.from_bytes(octets[place : place + 4])
                if value or column != "echo":
                    yield Slot(column, start + place, field, value, 4, 256 if place % 2 else 1)
            at += length

    def _tcp_sum(self, octets: bytes, segment: bytes, slots: list[Slot]) -> int:
        """The sum of pseudo-header and segment (RFC 9293 section 3.1) with zeros in the slots."""
        size = 8 if self.version == 4 else 32
        at = self.ip_at + (12 if self.version == 4 else 8)
        blank = _blank(octets[: self.tcp_at] + segment, slots, self.tcp_at + 16)
        total = int.from_bytes(blank[at : at + size]) + 6 + len(segment)
        return (total + int.from_bytes(blank[self.tcp_at :] + b"\0" * (len(segment) % 2))) % 0xFFFF

    def _ip_sum(self, octets: bytes, slots: list[Slot]) -> int:
        blank = _blank(octets, slots, self.ip_at + 10)
        return int.from_bytes(blank[self.ip_at : self.ip_at + 20]) % 0xFFFF


def _blank(octets: bytes, slots: list[Slot], checksum: int) -> bytes:
    """The octets with zeros in the slots and in a checksum."""
    blank = bytearray(octets)
    blank[checksum : checksum + 2] = bytes(2)
    for slot in slots:
        blank[slot.at : slot.at + slot.width] = bytes(slot.width)
    return bytes(blank)
