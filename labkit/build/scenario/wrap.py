"""A conversation around messages from elsewhere: the values of a scenario that connects, sends them, and closes."""

from collections.abc import Iterable, Mapping
from typing import Any

from labkit.build.scenario.units import MAX_SEND
from labkit.errors import UsageError
from labkit.i18n import _, listed
from labkit.packet.scapy_build import is_packet, layer_octets

SIDES = ("client", "server")

CLOSES: dict[str, tuple[tuple[str, str], ...]] = {
    "client": (("client", "close"), ("server", "close")),
    "server": (("server", "close"), ("client", "close")),
    "client-reset": (("client", "abort"),),
    "server-reset": (("server", "abort"),),
    "none": (),
}
"""How a conversation can end, with the steps for it."""


def values_of(
    messages: Iterable[tuple[str, Any]], name: str, close: str, think: str | None, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a scenario, as `Scenario.from_payloads` describes them. UsageError for a message that cannot be sent."""
    if close not in CLOSES:
        raise UsageError(
            _("close={close!r} is not an end; expected one of {known}").format(
                close=str(close)[:40], known=listed(CLOSES)
            )
        )
    if "steps" in values:
        raise UsageError(_("the messages are the steps; expected no others"))
    steps: list[dict[str, Any]] = [{"client": "connect"}]
    last = "client"
    for number, message in enumerate(messages, 1):
        side, octets = _message(message, number)
        pause = {"after": think} if think is not None and len(steps) > 1 and side != last else {}
        steps.append({side: {"send": {"hex": octets.hex(), **pause}}})
        last = side
    if len(steps) == 1:
        raise UsageError(_("there is no message; expected at least one, such as ('client', b'hello')"))
    steps += [{side: verb} for side, verb in CLOSES[close]]
    return {"name": name, **values, "steps": steps}


def _message(message: Any, number: int) -> tuple[str, bytes]:
    """The side that sends a message, and its octets."""
    try:
        side, payload = message
    except (TypeError, ValueError):
        raise UsageError(
            _("message {number}: is not a pair; expected one such as ('client', b'hello')").format(number=number)
        ) from None
    if side not in SIDES:
        raise UsageError(
            _("message {number}: {side!r} is not a side; expected client or server").format(
                number=number, side=str(side)[:40]
            )
        )
    if is_packet(payload):
        payload = layer_octets(payload)
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise UsageError(
            _("message {number}: is a {name}; expected bytes or a Scapy layer").format(
                number=number, name=type(payload).__name__
            )
        )
    octets = bytes(payload)
    if not octets:
        raise UsageError(_("message {number}: has no octets; expected at least one").format(number=number))
    if len(octets) > MAX_SEND:
        raise UsageError(
            _("message {number}: has {n} octets; expected at most {n2} MiB").format(
                number=number, n=len(octets), n2=MAX_SEND >> 20
            )
        )
    return side, octets
