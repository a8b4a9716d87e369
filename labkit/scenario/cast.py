"""What a scenario's run begins with: hosts, endpoints, the path and the steps, with what chance makes of
their ranges.

Each range is drawn from the seed and its own key, so that what one becomes does not depend on the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from labkit.endpoint import Endpoint
from labkit.path import Direction, Path
from labkit.scenario.model import Connect, Receive, ScenarioModel, Side, Step, Wait, Way
from labkit.scenario.source import Source
from labkit.wire import Host

OTHER = {"client": "server", "server": "client"}

LINE = b"abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ.\r\n"
"""What follows the six digits and the blank in each line of a payload that is given by its length only."""


def pattern(count: int) -> bytes:
    """Octets to be sent where only their number is given: lines of 64, each beginning with the place of its
    first.

    So a reader sees in any segment which octets of a SEND it carries. The last line has an end, however short
    it is.
    """
    period = b"".join(b"%06d %s" % (place, LINE) for place in range(0, min(count, 1_000_000), 64))
    octets = (period * (count // 1_000_000 + 1))[:count]
    return octets if count < 2 else octets[:-2] + b"\r\n"


@dataclass(slots=True)
class Plan:
    """A step, what chance made of it, and how far it is."""

    number: int
    side: str
    verb: str
    step: Step
    line: int
    after: int
    text: str = ""
    payload: bytes = b""
    octets: int = 0
    time: int = 0
    """How long a wait takes."""
    due: int | None = None
    """When it begins, once that is known."""
    until: int = 0
    """When a wait is over; for a send or receive: the octets of its side up to its end."""


def host(model: ScenarioModel, side: str, seed: int) -> Host:
    """A side's address, port and the like; where none is given, one that documentation may use (RFC 5737, RFC
    3849).
    """
    given: Side = getattr(model, side)
    other: Side = getattr(model, OTHER[side])
    last, port, mac = {"client": (10, 40000, 1), "server": (20, 80, 2)}[side]
    ipv6 = ":" in (given.address or other.address or "")
    address = given.address or (f"2001:db8::{last}" if ipv6 else f"192.0.2.{last}")
    if given.port is not None:
        port = given.port.draw(seed, f"{side}.port")
    return Host(address, port, given.name or side, given.mac or f"02:00:00:00:00:{mac:02x}", given.ttl, given.dscp)


def endpoint(model: ScenarioModel, hosts: Mapping[str, Host], side: str, seed: int) -> Endpoint:
    """A side's endpoint."""
    given: Side = getattr(model, side)
    own, peer = hosts[side], hosts[OTHER[side]]
    isn = given.isn
    iss = initial_number(own, peer, model.start, seed) if isn is None else isn.draw(seed, f"{side}.isn")
    rng = Random(f"{seed}/{side}")
    return Endpoint(given.config(iss, ":" in own.address, rng.getrandbits(32)), rng)


def initial_number(own: Host, peer: Host, time: int, seed: int) -> int:
    """RFC 6528 section 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey), the key from the
    seed.

    M is a clock with a tick every four microseconds; `time` is in nanoseconds.
    """
    four = f"{own.address} {own.port} {peer.address} {peer.port}".encode()
    key = blake2b(str(seed).encode(), digest_size=32).digest()
    return (time // 4_000 + int.from_bytes(blake2b(four, key=key, digest_size=4).digest())) & 0xFFFF_FFFF


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
        loss=way.loss,
        lose=frozenset(way.lose),
        duplicate=frozenset(way.duplicate),
        mark=frozenset(way.mark),
        late=dict(way.late),
    )


def plans(model: ScenarioModel, source: Source, seed: int) -> list[Plan]:
    """The steps, ready to be done."""
    return [_plan(number, step, source, seed) for number, step in enumerate(model.steps)]


def _plan(number: int, step: Step, source: Source, seed: int) -> Plan:
    details = step.action.details
    key = f"steps[{number + 1}]"
    after = details.after.draw(seed, f"{key}.after")
    plan = Plan(number, step.side, step.action.verb, step, source.line(("steps", number)), after)
    words = plan.verb
    if isinstance(details, Connect):
        plan.payload = _payload(details, f"{key}.octets", seed)
        plan.octets = len(plan.payload)
    elif isinstance(details, Receive):
        plan.octets = details.octets.draw(seed, f"{key}.octets")
    elif isinstance(details, Wait):
        plan.time = details.time.draw(seed, f"{key}.time")
    if plan.octets:
        words += f"{' with' if plan.verb == 'connect' else ''} {plan.octets} octets"
    plan.text = f"step {number + 1}: {plan.side} {words}"
    return plan


def _payload(given: Connect, key: str, seed: int) -> bytes:
    if given.text is not None:
        return given.text.encode()
    if given.hex is not None:
        return bytes.fromhex(given.hex)
    return pattern(given.octets.draw(seed, key)) if given.octets is not None else b""
