"""Validate a scenario: each value against the model, and then the combinations of values.

The first error in the file is reported, with its line, its key and the expected value; `complaints` words the message.
"""

from pydantic import ValidationError

from labkit.build.scenario.complaints import first_error
from labkit.build.scenario.model import Conversations, ScenarioModel, Side
from labkit.build.scenario.source import Source
from labkit.build.scenario.steps import Connect
from labkit.build.scenario.units import MAX_SEND
from labkit.i18n import _


def validate(source: Source) -> ScenarioModel:
    """The model of a scenario, with the files that it names. ScenarioError for the first error in the file."""
    try:
        model = ScenarioModel.model_validate(source.data)
    except ValidationError as error:
        raise first_error(source, error.errors(include_url=False)) from error
    ipv6 = _check_families(model, source)
    for side in ("client", "server"):
        _check_side(model, side, ipv6, source)
    _check_frames(model, ipv6, source)
    if model.conversations is not None:
        _check_conversations(model.conversations, ipv6, source)
    _load_files(model, source)
    return model


def _check_families(model: ScenarioModel, source: Source) -> bool:
    """Check that both hosts have addresses of one family; return whether it is IPv6."""
    versions = {side: getattr(model, side).address for side in ("client", "server")}
    given = {side: ":" in address for side, address in versions.items() if address is not None}
    if len(given) == 2 and given["client"] != given["server"]:
        raise source.error(("server", "address"), _("is not of the client's address family; expected the same family"))
    return any(given.values())


def _check_side(model: ScenarioModel, side: str, ipv6: bool, source: Source) -> None:
    """Check combinations of a host's keys."""
    given: Side = getattr(model, side)
    port, isn = given.port, given.isn
    if port is not None and not 1 <= port.low <= port.high <= 65535:
        raise source.error((side, "port"), _("{high} is not a port; expected 1 to 65535").format(high=port.high))
    if isn is not None and isn.high > 0xFFFFFFFF:
        raise source.error(
            (side, "isn"), _("{high} is not a sequence number; expected at most 4294967295").format(high=isn.high)
        )
    if given.ttl <= model.path.hops:
        raise source.error(
            (side, "ttl"),
            _("{ttl} is too small for {hops} hops; expected at least {n}").format(
                ttl=given.ttl, hops=model.path.hops, n=model.path.hops + 1
            ),
        )
    unit = 1 << (given.window_scale or 0)
    if given.window < unit:
        raise source.error(
            (side, "window"),
            _("{window} is less than one unit of window_scale {scale}; expected at least {least}").format(
                window=given.window, scale=given.window_scale, least=unit
            ),
        )
    if side == "client" and given.syn_cookies:
        raise source.error((side, "syn_cookies"), _("is for a server, which answers SYNs; expected it at the server"))
    if given.md5 is not None and given.ao is not None:
        raise source.error((side, "ao"), _("signs in a second way beside md5; expected one of the two"))
    if given.mptcp and (given.md5 or given.ao):
        raise source.error(
            (side, "mptcp"), _("its options and a signature have no room in one header; expected one of the two")
        )
    if given.syn_cookies and (given.fast_open is not None or given.mptcp or given.ecn == "accurate"):
        raise source.error(
            (side, "syn_cookies"),
            _("a cookie has no room for fast_open, mptcp or accurate ecn; expected none of them beside it"),
        )
    most = model.path.mtu - (60 if ipv6 else 40)
    if given.mss is not None and given.mss > most and model.path.fragment is None:
        raise source.error(
            (side, "mss"),
            _(
                "{mss} makes datagrams larger than the path's MTU of {mtu}; expected at most {most}, or path.fragment"
            ).format(mss=given.mss, mtu=model.path.mtu, most=most),
        )
    try:
        given.config(0, ipv6=ipv6, stamp=0, mtu=model.path.mtu)
    except ValueError as error:
        raise source.error((side,), f"{error}") from error


def _check_frames(model: ScenarioModel, ipv6: bool, source: Source) -> None:
    """Check VLAN tags, fragments and the MTU."""
    if model.vlan is not None and model.link != "ethernet":
        raise source.error(("vlan",), _("link {link} has no VLAN tags; expected link ethernet").format(link=model.link))
    # RFC 8200 section 5: every link carries 1280 octets, and nobody sends smaller fragments.
    if ipv6 and model.path.fragment is not None and model.path.fragment < 1280:
        raise source.error(
            ("path", "fragment"),
            _("{fragment} is below IPv6's smallest MTU; expected 1280 or more").format(fragment=model.path.fragment),
        )
    if ipv6 and model.path.mtu < 1280:
        raise source.error(
            ("path", "mtu"), _("{mtu} is below IPv6's smallest MTU; expected 1280 or more").format(mtu=model.path.mtu)
        )


def _check_conversations(given: Conversations, ipv6: bool, source: Source) -> None:
    """Check that the addresses and ports suffice."""
    place = ("conversations", "ports")
    if not 1 <= given.ports.low <= given.ports.high <= 65535:
        raise source.error(place, _("{high} is not a port; expected 1 to 65535").format(high=given.ports.high))
    if given.clients is not None and (given.clients.version == 6) != ipv6:
        key = ("conversations", "clients")
        raise source.error(
            key,
            _("{text} is not of the server's address family; expected the same family").format(text=given.clients.text),
        )
    # One address may be the server's own.
    addresses = 1 if given.clients is None else given.clients.size() - 1 or 1
    room = addresses * (given.ports.high - given.ports.low + 1) * len(given.server_ports or (0,))
    if given.count > room:
        key = ("conversations", "count")
        raise source.error(
            key,
            _("{count} is too large for the addresses and ports; expected at most {room}").format(
                count=given.count, room=room
            ),
        )
    for port in given.listening or ():
        if given.server_ports is not None and port not in given.server_ports:
            raise source.error(("conversations", "listening"), _("{port} is not one of server_ports").format(port=port))


def _load_files(model: ScenarioModel, source: Source) -> None:
    """Load the files that hold payloads."""
    for place, step in enumerate(model.steps):
        action = step.action
        details = action.details if action is not None else None
        if action is not None and isinstance(details, Connect) and details.file is not None:
            source.load(("steps", place, step.side, action.verb, "file"), details.file, MAX_SEND)
