"""Multipath TCP with one subflow (RFC 8684): the first handshake, mappings of data, Data ACKs, and DATA_FIN.

One subflow carries all data in its order, so that data sequence numbers differ from those of the subflow by a constant: position
`n` of the stream has the number IDSN + n. DATA_FIN goes with the subflow's FIN.
"""

from hashlib import sha256
from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp.multipath import FIN as DATA_FIN
from labkit.tcp.multipath import Multipath
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

VERSION, FLAGS = 1, 0x01
"""Version 1, without checksums, with HMAC-SHA256 (section 3.1)."""
NOP = opt.Nop()
BLANK_ACK = (Multipath("dss", (("ack8", 0),)),)
BLANK_DATA = (Multipath("dss", (("ack8", 0), ("dsn8", 0), ("ssn", 0), ("length", 0))), NOP, NOP)
"""What a segment without and with data must leave room for."""


def first_number(key: int) -> int:
    """The initial data sequence number of a key: the low 64 bits of its hash (section 3.1)."""
    return int.from_bytes(sha256(key.to_bytes(8)).digest()[-8:])


class MultipathState:
    """What one endpoint knows of MPTCP."""

    __slots__ = ("agreed", "enabled", "key", "peer_key", "repeats")

    def __init__(self, enabled: bool, key: int) -> None:
        self.enabled = enabled
        self.key = key
        self.peer_key = 0
        self.agreed = False
        """Whether both SYNs have MP_CAPABLE."""
        self.repeats = False
        """Whether a client repeats both keys, up to its first data or the peer's first DSS (section 3.1)."""

    def learn(self, syn: Segment) -> None:
        """Agree on MPTCP, from the peer's SYN or SYN,ACK. The SYN has no key in version 1."""
        found = _capable(syn)
        self.agreed = self.enabled and found is not None and found.get("version") == VERSION
        if self.agreed and found is not None and syn.ctl & ACK:
            self.peer_key = found.get("sender", 0)
            self.repeats = True

    def arrived(self, segment: Segment) -> None:
        """Learn the client's key from the third segment; without it, fall back to TCP (section 3.7)."""
        if not self.agreed or segment.ctl & (SYN | RST):
            return
        found = _capable(segment)
        if found is not None and not self.peer_key:
            self.peer_key = found.get("sender", 0)
        if not self.peer_key:
            self.agreed = False
        if segment.option(Multipath) is not None and found is None:
            self.repeats = False

    def syn_option(self, answering: bool) -> tuple[opt.Option, ...]:
        """MP_CAPABLE of the SYN, or of the SYN,ACK with the key."""
        if not (self.agreed if answering else self.enabled):
            return ()
        key = (("sender", self.key),) if answering else ()
        return (Multipath("mp_capable", (("version", VERSION), ("flags", FLAGS), *key)),)

    def room(self, data: bool) -> tuple[opt.Option, ...]:
        """What a segment must leave room for; `complete` writes the numbers."""
        if not self.agreed:
            return ()
        return BLANK_DATA if data or self.repeats else BLANK_ACK

    def complete(self, end: "Endpoint", segment: Segment) -> Segment:
        """The segment with its numbers in the option."""
        if not self.agreed or segment.ctl & (SYN | RST):
            return segment
        made = self._keys(segment) if self.repeats else self._dss(end, segment)
        at = next((i for i, each in enumerate(segment.options) if type(each) is Multipath), len(segment.options))
        behind = at + (len(BLANK_DATA) if segment.options[at : at + 1] == BLANK_DATA[:1] else 1)
        padding = (NOP,) * (-made.width % 4)
        return segment.with_(options=(*segment.options[:at], made, *padding, *segment.options[behind:]))

    def _keys(self, segment: Segment) -> Multipath:
        """MP_CAPABLE of the third segment and of the client's first data."""
        fields = [("version", VERSION), ("flags", FLAGS), ("sender", self.key), ("receiver", self.peer_key)]
        if segment.payload:
            self.repeats = False
            fields.append(("length", len(segment.payload)))
        return Multipath("mp_capable", tuple(fields))

    def _dss(self, end: "Endpoint", segment: Segment) -> Multipath:
        """The Data ACK, and the mapping of the segment's data and DATA_FIN."""
        low, fin = end.snd.position(segment.seq), segment.ctl & FIN != 0
        fields = [("ack8", first_number(self.peer_key) + end.rcv.position(segment.ack) & (1 << 64) - 1)]
        if segment.payload or fin:
            number = first_number(self.key) + low & (1 << 64) - 1
            # Section 3.3.3: DATA_FIN counts as one octet more; alone, it is not at any place of the subflow.
            fields += [("dsn8", number), ("ssn", low if segment.payload else 0), ("length", len(segment.payload) + fin)]
        return Multipath("dss", ((("flags", DATA_FIN),) if fin else ()) + tuple(fields))


def _capable(segment: Segment) -> dict[str, int] | None:
    """The fields of MP_CAPABLE; None without one."""
    found = (each for each in segment.options if isinstance(each, Multipath) and each.subtype == "mp_capable")
    option = next(found, None)
    return None if option is None else dict(option.fields)
