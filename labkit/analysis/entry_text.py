"""An entry of the accounts (`labkit.analysis.entry`) as a finding, in the words of the rule that names it."""

from labkit.analysis.entry import Entry, Shown
from labkit.analysis.finding import Finding, both, with_scapy
from labkit.analysis.flows import end_name
from labkit.analysis.ignored import without
from labkit.analysis.rule import Rule
from labkit.analysis.strays import Talk, right_fields, tuple_text
from labkit.i18n import _, joined
from labkit.tcp.seq import diff


def finding_of(rule: Rule, entry: Entry, talk: Talk, start: int) -> Finding:
    """An entry in the words of the rule that names it; `start` is the time of the capture's first frame."""
    seg = entry.shown
    values = _values(entry, talk)

    def text(template: str) -> str:
        return joined(_(template).format(**values)) if template else ""

    ends = talk.four_tuple(seg.side)
    relative = entry.field in ("seq", "ack") and entry.expected is not None
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=rule.severity,
        packet=seg.packet,
        time=round((seg.time - start) / 1e9, 9),
        flow=talk.index,
        source=end_name((ends[0], ends[1])),
        destination=end_name((ends[2], ends[3])),
        message=text(rule.message),
        field=entry.field,
        expected=entry.expected,
        actual=entry.actual,
        expected_relative=diff(entry.expected, entry.isn) if relative and entry.expected is not None else None,
        actual_relative=diff(entry.actual, entry.isn) if relative and entry.actual is not None else None,
        reference=rule.reference,
        should_be=text(rule.should_be),
        receiver=text(rule.receiver),
        mend=_mend(text(rule.mend), entry, talk),
        wireshark=rule.wireshark,
    )


def _mend(mend: str, entry: Entry, talk: Talk) -> str:
    """How to mend an entry, with the same in Scapy."""
    seg = entry.shown
    flags = {"syn-bit": "SA", "ack-bit": "SA", "opens": "S"}.get(entry.fault)
    if entry.fault in ("syn-inside", "stray-fin", "stray-rst"):
        flags = without(seg)
    line = right_fields(seg, talk.four_tuple(seg.side)) if entry.fault == "port" else ""
    if flags is not None and entry.cause is None:
        line = f'packets[{seg.packet - 1}][TCP].flags = "{flags}"'
    if entry.fault == "ack-bit" and entry.peer is not None and seg.ack != entry.peer.end:
        line += f"; packets[{seg.packet - 1}][TCP].ack = {entry.peer.end}"
    if entry.swapped and entry.field == "seq" and entry.cause is None:
        line = f"packets[{seg.packet - 1}][TCP].seq = {seg.ack}; packets[{seg.packet - 1}][TCP].ack = {seg.seq}"
    if line:
        return _("{mend} In Scapy: {line}").format(mend=mend, line=line)
    return with_scapy(mend, entry.field, seg.packet, entry.expected)


def _values(entry: Entry, talk: Talk) -> dict[str, object]:
    """What a rule's templates may name."""
    seg, own, peer, inside = entry.shown, entry.own, entry.peer, entry.inside

    def number(raw: int | None) -> str:
        return "" if raw is None else both(diff(raw, entry.isn), raw)

    right = talk.four_tuple(seg.side)
    field, expected, actual = entry.field, number(entry.expected), number(entry.actual)
    if field == "port" and entry.expected is None:  # more than one part of it is wrong
        field, expected, actual = _("four-tuple"), tuple_text(right), tuple_text(seg.four_tuple or right)
    return {
        "field": field,
        "expected": expected,
        "actual": actual,
        "wanted": entry.expected,
        "plain": entry.actual,
        "isn": entry.isn,
        "distance": abs(entry.off),
        "cause": entry.cause.packet if entry.cause is not None else "",
        "index": seg.packet - 1,
        "length": seg.length,
        "own_packet": own.packet if own else "",
        "own_length": own.length if own else 0,
        "peer_packet": peer.packet if peer else entry.peer_last.packet if entry.peer_last else "",
        "peer_last": entry.peer_last.packet if entry.peer_last else "",
        "peer_end": peer.end if peer else "",
        "peer_length": peer.length if peer else 0,
        "headers": entry.off if entry.off in _headers(own, peer) else 40,
        "inside_packet": inside.packet if inside else "",
        "inside_length": inside.length if inside else 0,
        "characters": len(entry.text),
        "taker": "FIN" if entry.at_fin else "SYN",
        "right_tuple": tuple_text(right),
        "four_tuple": tuple_text(seg.four_tuple or right),
    }


def _headers(*segments: Shown | None) -> list[int]:
    return [size for seg in segments if seg is not None for size in (seg.headers, seg.headers + 14)]
