"""Set up conversations: their hosts, endpoints, path and steps, with a drawn value for each range.

The seed and the key of a range determine its value, so that ranges are independent of each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from ipaddress import ip_address
from random import Random

from labkit.build.application import Plan
from labkit.build.path import Burst, Direction, Path
from labkit.build.scenario.fields import Pool
from labkit.build.scenario.model import Conversations, ScenarioModel, Side, Way
from labkit.build.scenario.payloads import pattern
from labkit.build.scenario.scripted import Silent
from labkit.build.scenario.source import Source
from labkit.build.scenario.steps import Action, Connect, Receive, Segments, Send, Step, Wait
from labkit.packet.linktype import ETHERNET, RAW
from labkit.packet.scapy_build import Framing, Host, Vlan
from labkit.tcp.endpoint import Endpoint
from labkit.tcp.seq import MASK, add, after
from labkit.tcp.signatures import AoSigner, Flow, Md5Signer, Signer
from labkit.tcp.stacks import load

OTHER = {"client": "server", "server": "client"}
TICK = 4_000
"""Nanoseconds in a tick of the ISN clock (RFC 9293 section 3.4.1)."""
ENDINGS = {"close", "abort", "crash"}


@dataclass(frozen=True, slots=True)
class Parts:
    """One conversation of a scenario: its hosts, its begin, and its seed."""

    seed: int
    """The seed of this conversation's random values."""
    secret: int
    """The secret of the initial sequence numbers, the same for all conversations."""
    hosts: dict[str, Host]
    begin: int = 0
    """Nanoseconds from the scenario's start."""
    listens: bool = True
    """Whether the server listens."""
    tried: bool = False
    """Whether the client only attempts its first connect if the server does not listen."""
    idents: tuple[int, int] = (0, 0)
    """How many IPv4 identifications the client and the server have used before."""
    numbers: Mapping[str, tuple[int, int]] | None = None
    """Base values of each side's initial sequence numbers and timestamps; None if the scenario determines them."""


def alone(model: ScenarioModel, seed: int) -> Parts:
    """The conversation of a scenario without `conversations`."""
    hosts = {side: host(model, side, seed) for side in OTHER}
    return Parts(seed, seed, hosts, listens=model.server.listen)


def host(model: ScenarioModel, side: str, seed: int) -> Host:
    """A side's host. By default it has an address for documentation (RFC 5737, RFC 3849)."""
    given: Side = getattr(model, side)
    other: Side = getattr(model, OTHER[side])
    last, port, mac = {"client": (10, 40000, 1), "server": (20, 80, 2)}[side]
    ipv6 = ":" in (given.address or other.address or "")
    address = given.address or (f"2001:db8::{last}" if ipv6 else f"192.0.2.{last}")
    ephemeral = load(given.stack).header
    if given.port is not None:
        port = given.port.draw(seed, f"{side}.port")
    elif side == "client" and ephemeral.ports is not None:
        low, high = ephemeral.ports
        port = Random(f"{seed}/{side} port").randrange(low, high + 1, ephemeral.port_step)
    return Host(address, port, given.name or side, given.mac or f"02:00:00:00:00:{mac:02x}", given.ttl, given.dscp)


def conversations(model: ScenarioModel, seed: int) -> list[Parts]:
    """The conversations of a scenario, in the order in which they begin."""
    given = model.conversations
    if given is None:
        return [alone(model, seed)]
    server = host(model, "server", seed)
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
    """The client of each conversation. No two conversations with the same server port have the same client address and port."""
    client = host(model, "client", seed)
    server = int(host(model, "server", seed).ip)
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
        each = replace(client, port=given.ports.low + port)
        found.append(each if given.clients is None else pooled(each, given.clients, address, server))
    return found


def pooled(client: Host, pool: Pool, place: int, server: int) -> Host:
    """The client with an address of the pool and a MAC that follows from the address, without a name."""
    address = pool.address(place, server)
    low = int(ip_address(address)) & 0xFFFF_FFFF
    mac = ":".join(f"{octet:02x}" for octet in (2, 0, *low.to_bytes(4)))
    return replace(client, address=address, mac=mac, name="")


def own_seed(seed: int, number: int) -> int:
    """The seed of a conversation; `number` counts from 0."""
    return int.from_bytes(blake2b(f"{seed}/conversation {number}".encode(), digest_size=8).digest())


def endpoint(
    model: ScenarioModel, parts: Parts, side: str, now: int, used: int | None = None, waiting: bool = False
) -> Endpoint:
    """A side's endpoint for a connection that begins `now` nanoseconds after the conversation. Its ISS is greater than `used`,
    the last sequence number of the connection before (RFC 9293 section 3.4.1), which may be `waiting` in TIME-WAIT.
    """
    given: Side = getattr(model, side)
    own, peer = parts.hosts[side], parts.hosts[OTHER[side]]
    rng = Random(f"{parts.seed}/{side}")
    stamp = rng.getrandbits(32)
    if parts.numbers is not None:
        base, stamp = parts.numbers[side]
        iss = (base + (parts.begin + now) // TICK) & MASK
    elif given.isn is None:
        tick = load(given.stack).header.isn_tick
        iss = initial_number(own, peer, model.start + parts.begin + now, parts.secret, tick)
    else:
        iss = (given.isn.draw(parts.seed, f"{side}.isn") + (parts.begin + now) // TICK) & MASK
    config = given.config(iss, ":" in own.address, stamp, model.path.mtu)
    if used is not None and (not after(iss, used) or (waiting and config.next_iss_from_last)):
        config = replace(config, iss=add(used, config.next_iss_step))
    kind = Silent if side in model.scripted else Endpoint
    return kind(config, rng, signer=signer(given, own, peer))


def signer(given: Side, own: Host, peer: Host) -> Signer | None:
    """What signs a side's segments: MD5 or TCP-AO with the side's key, or nothing."""
    if given.md5 is None and given.ao is None:
        return None
    flow = Flow(own.ip.packed, peer.ip.packed, own.port, peer.port)
    if given.md5 is not None:
        return Md5Signer(flow, given.md5.encode())
    return AoSigner(flow, given.ao.encode()) if given.ao is not None else None


def initial_number(own: Host, peer: Host, time: int, seed: int, tick: int = TICK) -> int:
    """RFC 6528 section 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey). The key follows from the seed.

    M is a clock; `time` and its `tick` are in nanoseconds.
    """
    four = f"{own.address} {own.port} {peer.address} {peer.port}".encode()
    key = blake2b(str(seed).encode(), digest_size=32).digest()
    return (time // tick + int.from_bytes(blake2b(four, key=key, digest_size=4).digest())) & MASK


def path(model: ScenarioModel, seed: int) -> Path:
    """The path, both directions."""
    plan = model.path
    rtt = plan.rtt.draw(seed, "path.rtt")
    to_server = _direction(plan.to_server, rtt // 2, "path.to_server", seed)
    to_client = _direction(plan.to_client, rtt - rtt // 2, "path.to_client", seed)
    return Path(to_server, to_client, f"{seed}/path")


def _direction(way: Way, delay: int, key: str, seed: int) -> Direction:
    return Direction(
        delay=delay if way.delay is None else way.delay.draw(seed, f"{key}.delay"),
        jitter=way.jitter,
        bandwidth=way.bandwidth,
        queue=way.queue,
        mark_queue=way.mark_queue,
        loss=way.loss,
        burst=None if way.burst is None else Burst(way.burst.chance, way.burst.length),
        lose=frozenset(way.lose),
        duplicate=frozenset(way.duplicate),
        mark=frozenset(way.mark),
        late=dict(way.late),
    )


def framing(model: ScenarioModel) -> Framing:
    """The framing of the capture: link type, VLAN tags and fragments."""
    tags = tuple(Vlan(tag.id, tag.priority, tag.service) for tag in model.vlan or ())
    return Framing(ETHERNET if model.link == "ethernet" else RAW, tags, model.path.fragment)


def plans(model: ScenarioModel, source: Source, seed: int) -> list[Plan]:
    """The plans of all steps, each with its connection."""
    found: list[Plan] = []
    for place, step in enumerate(model.steps):
        found += _plans(place, len(found), step, source, seed)
    _count_connections(found)
    return found


def _count_connections(plans: list[Plan]) -> None:
    """Number the connections: a connect begins another one if its side has connected before, or after a step that ends one."""
    connection = 0
    connected: set[str] = set()
    ended = False
    for plan in plans:
        if plan.verb == "connect":
            if ended or plan.side in connected:
                connection += 1
                connected.clear()
                ended = False
            connected.add(plan.side)
        ended = ended or plan.verb in ENDINGS
        plan.connection = connection


def _plans(place: int, number: int, step: Step, source: Source, seed: int) -> list[Plan]:
    """The plans of a step; the first has the position `number`."""
    if (action := step.action) is not None:
        plan = _plan(place, number, step.side, action, source, seed)
        return _lines(plan, action.segments) if action.segments is not None else [plan]
    exchange = step.exchange
    assert exchange is not None  # noqa: S101 - the model checks that a step is an action or an exchange
    key = f"steps[{place + 1}]"
    line = source.line(("steps", place))
    found = []
    for turn, (side, words, octets) in enumerate(exchange.protocol.turns(seed, key)):
        after = (
            exchange.think.draw(seed, f"{key}.think[{turn + 1}]") if turn else exchange.after.draw(seed, f"{key}.after")
        )
        plan = Plan(number + turn, place, line, side, "send", after, exchange.at_once and not turn)
        plan.payload, plan.octets = octets, len(octets)
        plan.text = f"step {place + 1}: {side} sends {words}, {len(octets)} octets"
        found.append(plan)
    return found


def _lines(plan: Plan, given: Segments) -> list[Plan]:
    """The plans of written segments, one for each line."""
    first, *others = given.lines.lines
    plan.script, plan.after = first, plan.after + (first.after or 0)
    found = [plan]
    for line in others:
        number, after = plan.number + len(found), line.after or 0
        found.append(replace(plan, number=number, script=line, after=after, at_once=False, answers=line.after is None))
    return found


def _plan(place: int, number: int, side: str, action: Action, source: Source, seed: int) -> Plan:
    details = action.details
    key = f"steps[{place + 1}]"
    line, after = source.line(("steps", place)), details.after.draw(seed, f"{key}.after")
    words = action.verb
    # RFC 9293 section 3.6: CLOSE means "I have no more data to send", which sockets call shutdown.
    verb = "close" if words == "shutdown" else words
    plan = Plan(number, place, line, side, verb, after, details.at_once)
    if isinstance(details, Connect):
        plan.payload = _payload(details, f"{key}.octets", source, seed)
        plan.octets = len(plan.payload)
        if isinstance(details, Send):
            plan.urgent, plan.more, plan.reply = details.urgent, details.more, details.reply
        message = details.http or details.dns
        words += f" {message.words}," if message is not None else ""
    elif isinstance(details, Receive):
        plan.octets = details.octets.draw(seed, f"{key}.octets")
    elif isinstance(details, Wait):
        plan.time = details.time.draw(seed, f"{key}.time")
    if plan.octets:
        words += f"{' with' if plan.verb == 'connect' else ''} {plan.octets} octets"
    plan.text = f"step {place + 1}: {plan.side} {words}"
    return plan


def _payload(given: Connect, key: str, source: Source, seed: int) -> bytes:
    if given.text is not None:
        return given.text.encode()
    if given.hex is not None:
        return bytes.fromhex(given.hex)
    if given.file is not None:
        return source.files[given.file]
    message = given.http or given.dns
    if message is not None:
        return message.octets(seed, key)
    if given.octets is None:
        return b""
    count = given.octets.draw(seed, key)
    if given.pattern is None:
        return pattern(count)
    repeated = given.pattern.encode()
    return (repeated * (count // len(repeated) + 1))[:count]
