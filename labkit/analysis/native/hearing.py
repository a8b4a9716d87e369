"""Keep the segments of a small capture for the second look: what reading it again would give."""

from labkit.analysis.entry import Shown
from labkit.analysis.flows import Flow
from labkit.analysis.moved import Moved
from labkit.analysis.native.columns import unpacker
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.reader import Batch
from labkit.analysis.side import Side
from labkit.analysis.talks import MAX_PAYLOAD, Heard, headers_of
from labkit.packet.seen import ABSENT, SUM_BAD, Seen

SEEN = unpacker(
    Seen,
    (
        *(
            "time",
            "len",
            "tsval",
            "tsecr",
            "number",
            "src_at",
            "dst_at",
            "ip_id",
            "seq",
            "ack",
            "win",
            "data_at",
            "data_len",
            "mss",
        ),
        *("sport", "dport", "doff", "ctl", "version", "addr_len", "sum_state", "sack_n", "former"),
    ),
)
MOVED = unpacker(Moved, ("flow", "at", "sender", "client"))

NO_SIDES = Side(), Side()
"""What compiled code knows of the two sides stays in its own memory."""


class Hearing:
    """A verifier of batches that show, which keeps the segments."""

    def __init__(self, verifier: NativeVerifier) -> None:
        self._verifier = verifier
        self._flows: dict[int, Flow] = {}
        self._heard: list[Heard] = []
        self._whole = True

    @property
    def heard(self) -> list[Heard] | None:
        """All segments. None where some are left out: their headers cannot be read, or their conversations are not wanted."""
        return self._heard if self._whole else None

    def take(self, batch: Batch) -> None:
        """Verify a batch of segments, and keep them."""
        self._verifier.take(batch)
        count = batch.row.count
        self._whole = self._whole and batch.row.shown == count
        if self._whole:
            moved = MOVED.iter_unpack(batch.moved.view[: count * MOVED.size])
            seen = SEEN.iter_unpack(batch.seen.view[: count * SEEN.size])
            for (index, _at, sender, client), at, one in zip(moved, batch.places, seen, strict=False):
                self._whole = self._whole and index != ABSENT
                self._keep(batch, at, sender ^ client, index, client, one)

    def _keep(self, batch: Batch, at: int, side: int, index: int, client: int, seen: tuple[int, ...]) -> None:
        """Keep a segment of a side, whose frame is at a place in the octets of a batch."""
        time, length, tsval, tsecr, number, src_at, dst_at, ip_id, seq, ack, win, data_at, data_len, mss = seen[:14]
        sport, dport, doff, ctl, version, addr_len, sum_state, sack_n, former = seen[14:]
        if former:
            return
        octets = batch.octets.view
        flow = self._flows.get(index)
        if flow is None:
            source = bytes(octets[at + src_at : at + src_at + addr_len]), sport
            target = bytes(octets[at + dst_at : at + dst_at + addr_len]), dport
            flow = Flow(index, (target, source) if side else (source, target), NO_SIDES)
            self._flows[index] = flow
        flow.client = client
        payload = octets[at + data_at : at + data_at + min(data_len, MAX_PAYLOAD)] if data_at >= 0 else b""
        shown = Shown(
            packet=number,
            time=time,
            side=side,
            seq=seq,
            ack=ack,
            ctl=ctl,
            length=length,
            payload=bytes(payload),
            ip_id=ip_id,
            window=win,
            mss=mss,
            headers=headers_of(doff, version),
            spoiled=sum_state == SUM_BAD,
            tsval=tsval,
            tsecr=tsecr,
            sack_n=sack_n,
        )
        self._heard.append((flow, shown))
