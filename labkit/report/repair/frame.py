"""Give frames the right lengths and checksums, where what is right can be known."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.capture import Frame
from labkit.i18n import _
from labkit.packet.decode.layer import u16
from labkit.packet.decode.outcome import CUT_OFF, FRAGMENT, HIDDEN, MALFORMED, TCP, TOO_DEEP
from labkit.packet.decode.walk import decode
from labkit.packet.linktype import ETHERNET
from labkit.packet.reassembly import Reassembler, fragment_of
from labkit.packet.rewrite import MIN_ETHERNET_OCTETS, ip_checksum, is_plain, network_at, tcp_checksum, with_checksum
from labkit.packet.seen import BAD_OFFSET, SUM_BAD, SUM_GOOD, SUM_PARTIAL, SUM_ZERO, Seen

UNREADABLE = frozenset({CUT_OFF, HIDDEN, MALFORMED, TOO_DEEP})
WRONG = frozenset({SUM_BAD, SUM_ZERO})


@dataclass(frozen=True, slots=True)
class Change:
    """A changed field of a packet, with its raw values. `packet` counts from 1, as Wireshark does."""

    packet: int
    field: str
    """`seq`, `ack`, `sack` (an edge of a block), `sum`, `doff` (octets), `ip.len`, `ip.sum` or `ip.hlen` (octets)."""
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that could not be repaired: in a packet, or in the whole capture (None)."""

    packet: int | None
    message: str


def mend(frames: Sequence[Frame]) -> tuple[list[Frame], list[Change], list[Unknown]]:
    """The frames with the right lengths and checksums, what was changed, and what could not be known."""
    made: list[Frame] = []
    changes: list[Change] = []
    unknown: list[Unknown] = []
    fragments = _Fragments()
    for place, frame in enumerate(frames):
        mending = _Mending(frame)
        try:
            if (
                mending.mend() == FRAGMENT
                and (found := fragments.add(bytes(mending.data), mending.seg, place)) is not None
            ):
                first, at, checksum = found
                data = made[first].data if first < place else bytes(mending.data)
                changes.append(Change(frame.number, "sum", u16(data, at), checksum))
                data = data[:at] + checksum.to_bytes(2) + data[at + 2 :]
                if first < place:
                    made[first] = made[first]._replace(data=data)
                else:
                    mending.data[:] = data
        except ValueError as error:
            unknown.append(Unknown(frame.number, str(error)))
        data = bytes(mending.data)
        made.append(frame if data == frame.data else frame._replace(data=data))
        changes += mending.changes
    return made, changes, unknown


class _Fragments:
    """The fragments of datagrams: the first one has the TCP checksum, which covers all."""

    def __init__(self) -> None:
        self._reassembler = Reassembler()
        self._firsts: dict[bytes, tuple[int, int]] = {}
        """The place of each datagram's first fragment, and where its TCP checksum is."""

    def add(self, data: bytes, seg: Seen, place: int) -> tuple[int, int, int] | None:
        """Add a fragment. If its datagram is complete, and the TCP checksum is wrong: the place of the first fragment, the
        checksum's position in it, and the right one. ValueError if that cannot be mended.
        """
        piece = fragment_of(data, seg)
        if piece is None:
            return None
        if piece.start == 0 and len(piece.data) >= 18:
            self._firsts[piece.key] = place, seg.ip_at + len(piece.head) + 16
        whole = self._reassembler.segment(data, seg)
        if whole is None or seg.sum_state not in WRONG:
            return None
        if piece.key not in self._firsts or self._reassembler.parts < 2:
            raise ValueError(_("the TCP checksum of its datagram, which came in fragments, is wrong; it stays"))
        first, at = self._firsts[piece.key]
        return first, at, tcp_checksum(whole, seg, whole[seg.tcp_at : seg.data_at + seg.len])


class _Mending:
    """One frame while it is mended. ValueError: the reason why the rest of it cannot be."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.data = bytearray(frame.data)
        self.changes: list[Change] = []
        self.seg = Seen()

    def mend(self) -> int:
        """Mend the frame; what it holds (`labkit.packet.decode`)."""
        seg, frame = self.seg, self.frame
        status = self._decode()
        if status in UNREADABLE and self._header_length():
            status = self._decode()
        if status in UNREADABLE:
            raise ValueError(_("cannot be read; its lengths and checksums stay"))
        if status == FRAGMENT:
            self._ip_checksum()
        if status != TCP:
            return status
        if frame.wirelen > len(frame.data):
            self._ip_checksum()
            if not self.changes:
                return status
            raise ValueError(_("the capture cut it short; its TCP checksum cannot be computed"))
        self._ip_length()
        if seg.fault == BAD_OFFSET or seg.sum_state == SUM_BAD:
            self._data_offset()
        if not seg.readable:
            self._ip_checksum()
            raise ValueError(_("its TCP header cannot be read; what follows from it stays"))
        self._ip_checksum()
        if seg.sum_state in WRONG:
            new = tcp_checksum(bytes(self.data), seg, bytes(self.data[seg.tcp_at : seg.data_at + seg.len]))
            self._change("sum", seg.sum, new)
            self.data[:] = with_checksum(bytes(self.data), seg)
        elif seg.sum_state == SUM_PARTIAL:
            raise ValueError(_("checksum offload left its TCP checksum to the network card; it stays"))
        return status

    def _decode(self) -> int:
        seg, size = self.seg, len(self.data)
        seg.number, seg.time, seg.caplen = self.frame.number, self.frame.time, size
        seg.wirelen, seg.joined = max(self.frame.wirelen, size), 0
        return decode(bytes(self.data), 0, size, self.frame.link, seg)

    def _change(self, field: str, old: int, new: int) -> None:
        self.changes.append(Change(self.frame.number, field, old, new))

    def _header_length(self) -> bool:
        """Mend the length of an IPv4 header by its checksum, which covers it."""
        at = network_at(bytes(self.data), self.frame.link)
        if at is None or at + 20 > len(self.data) or self.data[at] >> 4 != 4:
            return False
        old = self.data[at]
        for words in range(5, 16):
            header = bytearray(self.data[at : at + 4 * words])
            header[0] = 0x40 | words
            if (
                len(header) == 4 * words
                and 0x40 | words != old
                and u16(bytes(header), 10) == ip_checksum(bytes(header))
            ):
                self.data[at] = 0x40 | words
                self._change("ip.hlen", (old & 15) * 4, words * 4)
                return True
        return False

    def _ip_length(self) -> None:
        """Mend the length of the datagram by that of the frame."""
        seg, size = self.seg, len(self.data)
        trailer = size - seg.ip_at - seg.ip_len
        if not seg.ip_len or not trailer or (trailer > 0 and seg.sum_state == SUM_GOOD):
            return
        if trailer > 0:
            octets = bytes(self.data[seg.ip_at + seg.ip_len :])
            padded = self.frame.link == ETHERNET and size <= MIN_ETHERNET_OCTETS
            if seg.sum_state == SUM_PARTIAL or (padded and not any(octets)):
                return
            if padded:
                size -= len(octets) - len(octets.rstrip(b"\0"))
        if not is_plain(bytes(self.data), self.frame.link, seg):
            raise ValueError(_("it is in a tunnel, whose lengths labkit does not change"))
        length, at = size - seg.ip_at, seg.ip_at + (2 if seg.version == 4 else 4)
        if not 40 <= length <= 0xFFFF:
            raise ValueError(_("its IP length is wrong, and the frame's is not that of a datagram"))
        self._change("ip.len", seg.ip_len, length)
        good = seg.ip_sum_state == SUM_GOOD
        self.data[at : at + 2] = (length if seg.version == 4 else length - 40).to_bytes(2)
        if seg.version == 4 and good:
            # The checksum was right for the wrong length: this is not a change of its own.
            self._put_ip_checksum()
        self._decode()

    def _data_offset(self) -> None:
        """Mend the data offset by the TCP checksum, which covers it, or else by the options that it would leave."""
        seg, at = self.seg, self.seg.tcp_at + 12
        old, room = self.data[at], len(self.data) - self.seg.tcp_at
        stop = seg.ip_at + seg.ip_len if seg.ip_len else len(self.data)
        for words in range(5, 16):
            self.data[at] = words << 4 | old & 15
            tcp = bytes(self.data[seg.tcp_at : stop])
            if 4 * words <= room and words != old >> 4 and u16(tcp, 16) == tcp_checksum(bytes(self.data), seg, tcp):
                self._change("doff", (old >> 4) * 4, words * 4)
                self._decode()
                return
        self.data[at] = old

    def _ip_checksum(self) -> None:
        if self.seg.version == 4 and self.seg.ip_sum_state in WRONG:
            old = self.seg.ip_sum
            self._change("ip.sum", old, self._put_ip_checksum())

    def _put_ip_checksum(self) -> int:
        at = self.seg.ip_at
        new = ip_checksum(bytes(self.data[at : at + (self.data[at] & 15) * 4]))
        self.data[at + 10 : at + 12] = new.to_bytes(2)
        return new
