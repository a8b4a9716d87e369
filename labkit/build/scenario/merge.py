"""A scenario's conversations in one capture: one, or many that are interleaved.

Each conversation is played by itself, on a clock of its own, with a seed that is derived from the scenario's; then all
that was captured is put in the order of time. No two of them have the same addresses and ports.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from ipaddress import ip_address
from random import Random

from labkit.build.scenario import setup
from labkit.build.scenario.fields import Pool
from labkit.build.scenario.model import Conversations, ScenarioModel
from labkit.build.scenario.play import MAX_EVENTS, Played, Player
from labkit.build.scenario.setup import Parts
from labkit.build.scenario.source import Source
from labkit.build.trace import Connection, Record, Trace
from labkit.packet.scapy_build import Host


def play(model: ScenarioModel, source: Source, seed: int) -> Trace:
    """The trace of a scenario for a seed; the same for the same seed, always."""
    with _without_collecting():
        return _play(model, source, seed)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Without Python's search for cycles of garbage. A conversation makes many objects, all of which stay and none of which
    is in a cycle: to look at all of them again and again takes a third of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            # What was made counts as old, so that the next search for young garbage does not begin with all of it.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _play(model: ScenarioModel, source: Source, seed: int) -> Trace:
    wanted = [setup.alone(model, seed)] if model.conversations is None else _parts(model, model.conversations, seed)
    conversations: list[tuple[Parts, Played]] = []
    idents: dict[str, int] = {}
    events = 0
    for parts in wanted:
        addresses = [parts.hosts[side].address for side in ("client", "server")]
        used = idents.get(addresses[0], 0), idents.get(addresses[1], 0)
        played = Player(model, source, replace(parts, idents=used)).play()
        idents |= zip(addresses, played.idents, strict=True)
        conversations.append((parts, played))
        events += played.events
        if events > MAX_EVENTS:
            raise source.error(("conversations", "count"), f"the conversations are not over after {MAX_EVENTS} events")
    return _trace(model, seed, conversations)


def play_one(model: ScenarioModel, source: Source, parts: Parts) -> Trace:
    """The trace of one conversation by itself, whoever holds it."""
    return _trace(model, parts.secret, [(parts, Player(model, source, parts).play())])


def own_seed(seed: int, number: int) -> int:
    """What the chances of a conversation are drawn from; `number` counts from 0."""
    return int.from_bytes(blake2b(f"{seed}/conversation {number}".encode(), digest_size=8).digest())


def _trace(model: ScenarioModel, seed: int, conversations: list[tuple[Parts, Played]]) -> Trace:
    connections, records = _merged(conversations)
    return Trace(
        name=model.name,
        summary=model.summary,
        seed=seed,
        start=model.start,
        connections=connections,
        records=records,
        framing=setup.framing(model),
        hops=model.path.hops,
    )


def _merged(conversations: list[tuple[Parts, Played]]) -> tuple[tuple[Connection, ...], tuple[Record, ...]]:
    """All connections, and all records in the order of time."""
    connections: list[Connection] = []
    found = []
    for place, (parts, played) in enumerate(conversations):
        base = len(connections)
        connections += played.connections
        found += [
            (parts.begin + time, place, order, tap, base + flight.connection, flight)
            for order, (time, tap, flight) in enumerate(played.captured)
        ]
    found.sort()  # no two have the same time, conversation and order
    records = []
    for number, (time, _, _, tap, connection, flight) in enumerate(found, 1):
        received = flight.received
        assert received is not None  # noqa: S101 - a player leaves none open
        client, server = (flight.sent, received) if flight.sender == "client" else (received, flight.sent)
        records.append(
            Record(
                number,
                time,
                flight.sender,
                flight.out.segment if flight.sender == tap else flight.arriving,
                flight.out.why,
                flight.step,
                client,
                server,
                bool(flight.times),
                tap=tap,
                ident=flight.ident,
                connection=connection,
            )
        )
    return tuple(connections), tuple(records)


def _parts(model: ScenarioModel, given: Conversations, seed: int) -> list[Parts]:
    """The conversations, in the order in which they begin."""
    server = setup.host(model, "server", seed)
    ports = given.server_ports or (server.port,)
    clients = _clients(model, given, len(ports), seed)
    found = []
    for number, begin in enumerate(given.arrivals.times(given.count, seed)):
        port = ports[number % len(ports)]
        listens = model.server.listen and (given.listening is None or port in given.listening)
        hosts = {"client": clients[number], "server": replace(server, port=port)}
        found.append(Parts(own_seed(seed, number), seed, hosts, begin, listens, tried=given.listening is not None))
    return found


def _clients(model: ScenarioModel, given: Conversations, server_ports: int, seed: int) -> list[Host]:
    """The client of each conversation. For each of the server's ports, addresses and ports are drawn without putting
    them back.
    """
    client = setup.host(model, "client", seed)
    server = int(setup.host(model, "server", seed).ip)
    ports = given.ports.high - given.ports.low + 1
    addresses = 1 if given.clients is None else given.clients.size(server)
    drawn = [
        Random(f"{seed}/clients {number}").sample(
            range(addresses * ports), len(range(number, given.count, server_ports))
        )
        for number in range(min(server_ports, given.count))
    ]
    found = []
    for number in range(given.count):
        address, port = divmod(drawn[number % server_ports][number // server_ports], ports)
        host = replace(client, port=given.ports.low + port)
        found.append(host if given.clients is None else pooled(host, given.clients, address, server))
    return found


def pooled(host: Host, pool: Pool, place: int, server: int) -> Host:
    """A host with an address of the pool, and a MAC that follows from it. Names are for single hosts."""
    address = pool.address(place, server)
    low = int(ip_address(address)) & 0xFFFF_FFFF
    mac = ":".join(f"{octet:02x}" for octet in (2, 0, *low.to_bytes(4)))
    return replace(host, address=address, mac=mac, name="")
