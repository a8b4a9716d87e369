"""One segment of a capture as one line of text, for `labkit show` and for the excerpts around findings."""

from collections.abc import Iterable

from labkit.analysis.states import Row
from labkit.tcp.extension_options import Extension
from labkit.tcp.flags import ACK, SYN, URG, control_names
from labkit.tcp.notation import format_option
from labkit.tcp.options import Nop

ARROWS = ("→", "←")

CONTROLS = 8
"""The width of the control bits with the space behind them, where no segment needs more: `PSH ACK`."""

WIDE_CONTROLS = 12
"""The same with a third one, where later segments are not known: `FIN PSH ACK`."""


def segment_text(row: Row, *, window: bool = False, controls: int = CONTROLS) -> str:
    """`→ PSH ACK  seq=1 ack=100 len=119`, with relative numbers; the window appears on a SYN or if `window` is set.

    `controls` is the width of the control bits.
    """
    words = [f"{start_of_segment(row.sender, row.ctl, controls)}seq={row.relative_seq}"]
    if row.ctl & ACK:
        words.append(f"ack={row.relative_ack}")
    if row.length:
        words.append(f"len={row.length}")
    if row.ctl & SYN or window:
        words.append(f"win={row.window}")
    if row.ctl & URG:
        words.append(f"urg={row.urgent}")
    return " ".join(words)


def start_of_segment(sender: int, ctl: int, controls: int) -> str:
    """The arrow and the control bits, up to the column of the numbers."""
    return f"{ARROWS[sender]} {control_names(ctl):<{controls}} "


def width_of_controls(rows: Iterable[Row], least: int = CONTROLS) -> int:
    """The width of the control bits with the space behind them that all these segments need."""
    return max([least, *(len(control_names(row.ctl)) + 1 for row in rows)])


def details(row: Row) -> str:
    """The raw numbers that differ from the relative ones, and the options of a SYN or of an extension."""
    words = []
    if row.seq != row.relative_seq or (row.ctl & ACK and row.ack != row.relative_ack):
        words.append(f"raw seq {row.seq} ack {row.ack}" if row.ctl & ACK else f"raw seq {row.seq}")
    kinds = object if row.ctl & SYN else Extension
    shown = [format_option(each) for each in row.options if isinstance(each, kinds) and not isinstance(each, Nop)]
    if shown:
        words.append(f"<{', '.join(shown)}>")
    return " ".join(words)


def seconds(nanoseconds: int) -> str:
    """A time in seconds, down to the microsecond."""
    sign = "-" if nanoseconds < 0 else ""
    whole, rest = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{sign}{whole}.{rest // 1000:06d}"
