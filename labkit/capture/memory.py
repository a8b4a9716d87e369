"""A capture in memory: frames that were never in a file, read like a capture."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

from labkit.capture.base import Frame, Interface, Reader
from labkit.capture.source import Source
from labkit.errors import UsageError
from labkit.i18n import _


class Frames:
    """Frames in the order of their capture, and what messages call them. `open_capture` takes it like a file."""

    __slots__ = ("frames", "name")

    def __init__(self, frames: Sequence[Frame], name: str = "<packets>") -> None:
        self.frames = frames
        self.name = name


def frames_of(packets: Frames | Iterable[object]) -> Frames:
    """Scapy packets, or frames, as frames. Scapy packets are numbered from 1 and keep their times; frames keep their numbers.

    One Scapy packet stands for itself, not for its layers. UsageError for any other item.
    """
    from labkit.packet.scapy_build import is_packet

    if isinstance(packets, Frames):
        return packets
    items = [packets] if is_packet(packets) else packets
    return Frames([_frame(number, each) for number, each in enumerate(items, 1)])


def _frame(number: int, value: object) -> Frame:
    from labkit.packet.scapy_build import is_packet, octets_of

    if isinstance(value, Frame):
        return value
    if not is_packet(value):
        text = _("item {n} has the type {kind}; expected a Scapy packet or a Frame")
        raise UsageError(text.format(n=number, kind=type(value).__name__))
    try:
        time, link, data, wirelen = octets_of(value)  # type: ignore[arg-type]
    except UsageError as error:
        raise UsageError(_("packet {n}: {reason}").format(n=number, reason=error)) from error
    return Frame(number, time, link, data, wirelen)


class FramesReader(Reader):
    """Reads frames from memory. Each pair of link type and interface is an interface, in the order of its first frame."""

    format = "memory"

    def __init__(self, frames: Frames) -> None:
        super().__init__(Source(BytesIO()))
        self._all = frames
        self._places = {
            pair: place
            for place, pair in enumerate(dict.fromkeys((each.link, each.interface) for each in frames.frames))
        }
        self.interfaces = [Interface(link) for link, _number in self._places]

    @property
    def name(self) -> str:
        """What messages call the frames."""
        return self._all.name

    @property
    def size(self) -> int:
        """0: no octets of a file can be read, so that no engine reads any."""
        return 0

    def again(self) -> Frames:
        """The frames themselves."""
        return self._all

    def _frames(self) -> Iterator[Frame]:
        for frame in self._all.frames:
            place = self._places[frame.link, frame.interface]
            yield frame if place == frame.interface else frame._replace(interface=place)

    def rest(self) -> tuple[bytes, int]:
        """No octets: there is no file."""
        return b"", 0

    def resume(self, octets: bytes, at: int, number: int) -> None:
        """Do nothing: there is no file."""
