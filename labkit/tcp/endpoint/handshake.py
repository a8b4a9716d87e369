"""The options of the handshake: which ones a side offers and answers, and which ones both then use."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from labkit.tcp import options as opt
from labkit.tcp.endpoint import syn_cookies
from labkit.tcp.segment import Segment

if TYPE_CHECKING:
    from labkit.tcp.endpoint.endpoint import Endpoint

NOP = opt.Nop()
PADDING: dict[str, opt.Option] = {"nop": NOP, "end": opt.End()}
ALIGNED = {
    frozenset({"sack", "timestamps"}): "sack timestamps",
    frozenset({"sack"}): "nop nop sack",
    frozenset({"timestamps"}): "nop nop timestamps",
    frozenset[str](): "",
}
"""labkit's own order of the options between MSS and window scale."""


def offered(end: "Endpoint", now: int) -> tuple[opt.Option, ...]:
    """The options of the SYN or SYN,ACK that goes out now, aligned as other stacks align them.

    In a SYN,ACK only what the peer's SYN offered (RFC 7323 sections 1.3 and 2.2; RFC 2018 section 2).
    """
    config, answering = end.config, end.synchronised
    words: dict[str, opt.Option] = {"mss": opt.Mss(config.mss)}
    if config.sack and (end.recovery.sack or not answering):
        words["sack"] = opt.SackPermitted()
    if config.timestamps and (end.stamps.agreed or not answering):
        keeping = not (answering and syn_cookies.used(end))
        words["timestamps"] = end.stamps.option(now) if keeping else syn_cookies.stamp(end, now)
    if config.window_scale is not None and (end.scaling or not answering):
        words["scale"] = opt.WindowScale(config.window_scale)
    options = [PADDING.get(word) or words[word] for word in layout(config.syn_layouts, words.keys())]
    options += end.multipath.syn_option(answering)
    options += _signature(end)
    cookie = end.cookie if answering else config.fast_open
    # RFC 7413 section 4.1.3: a retransmitted SYN has no cookie, in case a middlebox drops it.
    if cookie is not None and not end.timers.retries:
        option = opt.FastOpen(cookie)
        rest = -(2 + len(cookie)) % 4 if config.pad_with_nop else 0
        options += _fitting(options, (option, *[NOP] * rest))
    if answering:
        options += _fitting(options, _counters(end))
    return tuple(options)


def layout(layouts: Sequence[str], present: Collection[str]) -> list[str]:
    """The words of the first layout with exactly these options; else labkit's own order."""
    for layout in layouts:
        words = layout.split()
        if set(words) - PADDING.keys() == set(present):
            return words
    between = ALIGNED[frozenset(present) - {"mss", "scale"}].split()
    return ["mss", *between, *(["nop", "scale"] if "scale" in present else [])]


def learn(end: "Endpoint", syn: Segment) -> None:
    """Learn the options of the peer's SYN or SYN,ACK. An option is used only if both sides offered it."""
    config = end.config
    end.ecn.learn(syn)
    end.multipath.learn(syn)
    mss = syn.option(opt.Mss)
    # Section 3.7.1, MUST-15: 536 (1220 for IPv6) where there is no option. A peer that says less than any path carries
    # would have us send headers for nothing.
    asked = mss is not None and (mss.size > 0 or config.least_mss == 1)
    end.snd.mss = min(config.max_payload, max(mss.size, config.least_mss) if mss and asked else config.default_mss)
    end.recovery.sack = config.sack and syn.option(opt.SackPermitted) is not None
    scale = syn.option(opt.WindowScale)
    end.scaling = config.window_scale is not None and scale is not None
    if end.scaling and scale is not None:
        # RFC 7323 section 2.3: more than 14 is read as 14
        end.snd.shift = min(scale.shift, 14)
        end.rcv.shift = config.window_scale or 0
    stamp = syn.option(opt.Timestamps)
    end.stamps.agreed = config.timestamps and stamp is not None
    if end.stamps.agreed and stamp is not None:
        end.stamps.recent = stamp.value
    if syn_cookies.used(end):
        syn_cookies.forget(end)
    if not end.active:
        end.rcv.first_window(config.mss - (12 if end.stamps.agreed else 0), config.whole_segment_syn_ack)
    beside = (12 if end.stamps.agreed else 0) + opt.length(
        (*end.multipath.room(data=True), *_signature(end), *_counters(end))
    )
    end.rcv.mss = max(min(config.mss, end.snd.mss) - beside, 1)


def fast_open(end: "Endpoint", syn: Segment) -> None:
    """RFC 7413 section 4.2.2: give a cookie to a SYN that asks for one; take the data of a SYN with a valid cookie.

    The data of a SYN without a valid cookie is dropped, and acknowledged when it arrives again.
    """
    option = syn.option(opt.FastOpen)
    if option is None or end.config.fast_open is None:
        return
    if option.cookie and option.cookie == end.config.fast_open:
        end.fast_opened = True
        end.delivered += end.rcv.take(1, syn.payload)
    else:
        end.cookie = end.config.fast_open


def carried(end: "Endpoint", now: int, *, data: bool = True) -> tuple[opt.Option, ...]:
    """The options of a segment after the handshake: timestamps, a signature, AccECN's counters and as many SACK blocks as fit
    (RFC 2018 section 3)."""
    options: tuple[opt.Option, ...] = ()
    if end.stamps.agreed:
        options = (NOP, NOP, end.stamps.option(now))
    if end.multipath.agreed:
        options += end.multipath.room(data)
    if end.signer is not None:
        options += _signature(end)
    if end.ecn.agreed:
        options += _fitting(options, _counters(end))
    if not end.recovery.sack or not (end.rcv.blocks or end.rcv.dsack is not None):
        return options
    room = (opt.ROOM - opt.length(options) - 4) // 8
    if room > 0:
        blocks = end.rcv.sack_blocks(room)
        if blocks:
            return (*options, NOP, NOP, opt.Sack(blocks))
    return options


def _signature(end: "Endpoint") -> tuple[opt.Option, ...]:
    """Room for the option that signs the segment, which `Endpoint.segments` fills in."""
    return () if end.signer is None else end.signer.options


def _fitting(options: Sequence[opt.Option], more: tuple[opt.Option, ...]) -> tuple[opt.Option, ...]:
    """The options in `more` if there is room for them beside the others."""
    return more if opt.length((*options, *more)) <= opt.ROOM else ()


def _counters(end: "Endpoint") -> tuple[opt.Option, ...]:
    """AccECN's counters, aligned; empty without AccECN."""
    counters = end.ecn.option()
    if counters is None:
        return ()
    return (counters, NOP) if end.config.pad_with_nop else (NOP, counters)
