"""Select the conversations to report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.analysis.flows import End, Flow
from labkit.analysis.value import Value
from labkit.i18n import _

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    Network = IPv4Network | IPv6Network

NETWORK = 9
"""Integers that describe a network: octets of an address, its address and its mask as four words each."""

LAST_FLOW = (1 << 62) - 1
"""No conversation has a larger number."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FlowFilter(Value):
    """A conversation is selected if it is one of `flows`, has an end in one of `hosts`, and has one of `ports`.

    An empty tuple selects every conversation.
    """

    flows: tuple[int, ...] = ()
    hosts: "tuple[Network, ...]" = ()
    ports: tuple[int, ...] = ()
    numbers: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """The same as integers: for each of the three how many there are, and then these; NETWORK integers for each host."""

    def __post_init__(self) -> None:
        hosts = [number for host in self.hosts for number in _network(host)]
        numbers = len(self.flows), *self.flows, len(self.hosts), *hosts, len(self.ports), *self.ports
        object.__setattr__(self, "numbers", tuple(max(-1, min(each, LAST_FLOW)) for each in numbers))

    def __call__(self, flow: Flow) -> bool:
        """Whether a conversation is selected, of which the first segment was just seen."""
        (one, port), (other, other_port) = flow.ends
        return is_chosen(flow.index, len(one), [*_words(one), *_words(other)], (port, other_port), self.numbers)

    def __str__(self) -> str:
        parts = (
            " / ".join(map(str, self.flows)),
            _("with {address}").format(address=" / ".join(map(str, self.hosts))) if self.hosts else "",
            _("at port {port}").format(port=" / ".join(map(str, self.ports))) if self.ports else "",
        )
        return " ".join(filter(None, parts))


class Unmatched:
    """The values of a filter that select no conversation: `take` the selected ones."""

    def __init__(self, chosen: FlowFilter) -> None:
        self._flows, self._hosts, self._ports = set(chosen.flows), set(chosen.hosts), set(chosen.ports)

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._flows or self._hosts or self._ports)

    def take(self, index: int, ends: Iterable[End]) -> None:
        """Look at a selected conversation."""
        self._flows.discard(index)
        for address, port in ends:
            self._ports.discard(port)
            if self._hosts:
                from ipaddress import ip_address

                self._hosts = {each for each in self._hosts if ip_address(address) not in each}

    def forget(self, count: int) -> None:
        """Not all selected conversations are known: what is certain is that there are only `count`."""
        self._flows = {each for each in self._flows if each >= count}
        self._hosts, self._ports = set(), set()

    def options(self) -> list[str]:
        """The values as a user gives them."""
        return [
            *(f"--flow {each}" for each in sorted(self._flows)),
            *sorted(f"--host {each.network_address if each.num_addresses == 1 else each}" for each in self._hosts),
            *(f"--port {each}" for each in sorted(self._ports)),
        ]


def _words(address: bytes) -> list[int]:
    """An address as four integers."""
    padded = address.ljust(16, b"\0")
    return [int.from_bytes(padded[at : at + 4]) for at in range(0, 16, 4)]


def _network(host: "Network") -> list[int]:
    address = host.network_address.packed
    return [len(address), *_words(address), *_words(host.netmask.packed)]


def is_chosen(index: int, family: int, words: Sequence[int], ports: Sequence[int], numbers: Sequence[int]) -> bool:
    """Whether a filter (`FlowFilter.numbers`) selects the conversation with this number and these ends.

    `words` are the two addresses, of `family` octets, as four integers each.
    """
    flows = numbers[0]
    found = flows == 0
    for i in range(flows):
        found = found or numbers[1 + i] == index
    at = 1 + flows
    hosts = numbers[at]
    if not found:
        return False
    found = hosts == 0
    for i in range(hosts):
        network = at + 1 + i * NETWORK
        if numbers[network] == family:
            found = found or _is_in(words, 0, numbers, network) or _is_in(words, 4, numbers, network)
    at += 1 + hosts * NETWORK
    if not found:
        return False
    count = numbers[at]
    found = count == 0
    for i in range(count):
        found = found or ports[0] == numbers[at + 1 + i] or ports[1] == numbers[at + 1 + i]
    return found


def _is_in(words: Sequence[int], first: int, numbers: Sequence[int], network: int) -> bool:
    """Whether the address that begins at `first` is in a network."""
    for i in range(4):  # noqa: SIM110 - a generator cannot be compiled
        if words[first + i] & numbers[network + 5 + i] != numbers[network + 1 + i]:
            return False
    return True
