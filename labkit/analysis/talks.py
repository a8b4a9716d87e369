"""Read the conversations of a capture as the second look needs them: the segments of both sides, in order."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from labkit.analysis.analyzer import DONE, analyze
from labkit.analysis.entry import CLIENT, SERVER, Shown
from labkit.analysis.evidence import counts
from labkit.analysis.flows import End, Flow, FlowTable, possible_frames
from labkit.analysis.ledger import MAX_SEGMENTS
from labkit.analysis.strays import Talk
from labkit.capture import Frame
from labkit.packet.seen import SUM_BAD, Seen
from labkit.tcp.flags import FIN, SYN
from labkit.tcp.seq import diff

MAX_ALL_SEGMENTS = 50_000
"""Segments of all conversations that are looked at."""

MAX_FRAMES = 1_000_000
"""Frames of a larger capture that are read a second time."""

MAX_PAYLOAD = 2_048
"""Octets of a segment's payload that are kept."""

Suspects = Mapping[tuple[frozenset[End], int], int]
"""The indices of conversations by their ends and first packet."""


Heard = tuple[Flow, Shown]
"""A segment with its conversation; `Shown.side` is that of the flow table."""


def talks_of(frames: Iterable[Frame], chosen: Suspects | None, misread: Collection[int] = ()) -> Iterator[Talk]:
    """The conversations of a capture with their segments; one that is too long for accounts has none.

    Packets in `misread` have a wrong data offset, and count as though it were right.
    """
    if chosen is not None:
        pairs = [tuple(ends) for ends, _packet in chosen if len(ends) == 2]
        ways = {way for one, other in pairs for way in ((one, other), (other, one))}
        frames = possible_frames(islice(frames, MAX_FRAMES), ways)
    heard = (
        (step.flow, shown(step.seg, step.data, step.sender))
        for step in analyze(frames, FlowTable())
        if step.scope == DONE and ((step.seg.readable and not step.seg.former) or step.seg.number in misread)
    )
    return gathered(heard, chosen, misread)


def gathered(heard: Iterable[Heard], chosen: Suspects | None = None, misread: Collection[int] = ()) -> Iterator[Talk]:
    """The conversations of segments that were read; the parameters are those of `talks_of`."""
    talks = list(_talks(heard, chosen, misread))
    yield from _renumbered(talks) if chosen is None and all(talk.segments for talk in talks) else talks


def _talks(heard: Iterable[Heard], chosen: Suspects | None, misread: Collection[int]) -> Iterator[Talk]:
    talks: dict[int, tuple[Flow, list[Shown]]] = {}
    kept = 0
    cut: set[int] = set()
    for flow, seg in heard:
        segments = talks.setdefault(flow.index, (flow, []))[1]
        if len(segments) < MAX_SEGMENTS and kept < MAX_ALL_SEGMENTS:
            segments.append(seg)
            kept += 1
        else:
            cut.add(flow.index)
    for flow, segments in talks.values():
        index = flow.index
        if chosen is not None:
            index = -1 if not segments else chosen.get((frozenset(flow.ends), segments[0].packet), -1)
        if index >= 0:
            client = flow.client
            ends_of = flow.ends[client], flow.ends[1 - client]
            sides = segments if flow.index not in cut else []
            for seg in sides:
                seg.side = CLIENT if seg.side == client else SERVER
            for at, seg in enumerate(sides):
                if seg.packet in misread:
                    sides[at] = _with_length(seg, sides[at + 1 :])
            yield Talk(index, ends_of, sides, flow if chosen is None else None)


def _with_length(seg: Shown, later: Sequence[Shown]) -> Shown:
    """A segment whose data offset is wrong, with the payload that its sender counts in the next segment."""
    following = next((one for one in later if one.side == seg.side), None)
    counted = diff(following.seq, seg.seq) - (seg.ctl & SYN != 0) - (seg.ctl & FIN != 0) if following else -1
    return replace(seg, length=counted) if 0 <= counted <= seg.length else seg


def _renumbered(talks: Sequence[Talk]) -> Sequence[Talk]:
    """The conversations. Where a host, or all hosts as one, count the IP identifications over several of them without a gap,
    those of each conversation are numbered anew, so that they count there too."""
    sent = sorted((seg.packet, talk.ends[seg.side][0], seg.ip_id) for talk in talks for seg in talk.segments)
    ids = [ip_id for _packet, _host, ip_id in sent]
    if len(talks) < 2 or min(ids) < 0:
        return talks
    of_host: dict[bytes, list[int]] = defaultdict(list)
    for _packet, host, ip_id in sent:
        of_host[host].append(ip_id)
    as_one = counts(ids)
    counting = {host for host, own in of_host.items() if as_one or counts(own)}
    for talk in talks:
        number: dict[bytes, int] = defaultdict(int)
        for at, seg in enumerate(talk.segments):
            host = talk.ends[seg.side][0]
            if host in counting:
                key = b"" if as_one else host
                number[key] += 1
                talk.segments[at] = replace(seg, ip_id=number[key])
    return talks


def headers_of(doff: int, version: int) -> int:
    """Octets of the headers of IP and TCP, without options and extensions of IP."""
    return doff + (20 if version == 4 else 40)


def shown(seg: Seen, data: bytes, sender: int) -> Shown:
    """A segment of the side `sender` as the accounts of a conversation need it. `data` holds its octets."""
    payload = data[seg.data_at : seg.data_at + min(seg.data_len, MAX_PAYLOAD)] if seg.data_at >= 0 else b""
    return Shown(
        packet=seg.number,
        time=seg.time,
        side=sender,
        seq=seg.seq,
        ack=seg.ack,
        ctl=seg.ctl,
        length=seg.len if seg.readable else max(0, seg.ip_at + seg.ip_len - seg.tcp_at - 20),
        payload=bytes(payload),
        ip_id=seg.ip_id,
        window=seg.win,
        mss=seg.mss,
        headers=headers_of(seg.doff, seg.version),
        spoiled=seg.sum_state == SUM_BAD,
        tsval=seg.tsval,
        tsecr=seg.tsecr,
        sack_n=seg.sack_n,
    )
