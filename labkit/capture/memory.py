"""A capture in memory: frames that were never in a file, read like a capture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from labkit.capture.base import Frame, Interface, Reader
from labkit.capture.source import Source


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in the order of their capture, and what messages call them. `open_capture` takes it like a file."""

    frames: Sequence[Frame]
    name: str = "<packets>"


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
