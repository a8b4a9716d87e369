"""Record the frames of an interface while a program does something else.

with Recording("lo") as recording:
    talk()
verify(recording)
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from threading import Thread
from time import monotonic, sleep

from labkit.capture import Frame
from labkit.errors import LinkError
from labkit.i18n import _, printable
from labkit.live.watch import frames, open_link

QUIET, LONGEST = 0.1, 5.0
"""Seconds without a frame after which a recording ends (a delayed ACK takes 40 ms on Linux), and the most that it waits."""

PAUSE = 0.01
"""Seconds between two looks at whether frames still come."""


class _Request:
    """A request to stop, which wakes `select`."""

    def __init__(self) -> None:
        self.requested = False
        self._read_end, self._write_end = os.pipe()

    def fileno(self) -> int:
        return self._read_end

    def stop(self) -> None:
        self.requested = True
        os.write(self._write_end, b"\0")

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)


class Recording(AbstractContextManager["Recording"]):
    """Records all frames of an interface of the current network namespace; iterate over it afterwards.

    At its end, the recording waits until no frame has come for `quiet` seconds, so that it holds the last acknowledgements. A
    loopback's frame is recorded once. `allow_interface` confirms that frames of others may pass there: without it, the
    interface is a loopback or veth. LinkError if the interface does not exist, the process may not record it, or the kernel
    dropped frames.
    """

    def __init__(self, interface: str = "lo", *, allow_interface: bool = False, quiet: float = QUIET) -> None:
        self.interface = interface
        self.frames: list[Frame] = []
        self._allowed = (interface,) if allow_interface else ()
        self._quiet = quiet
        self._error: LinkError | None = None

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __enter__(self) -> "Recording":
        self.frames = []
        with ExitStack() as stack:
            self._link = stack.enter_context(open_link(self.interface, None, self._allowed))
            self._request = _Request()
            stack.callback(self._request.close)
            self._thread = Thread(target=self._record, name=f"labkit records {self.interface}", daemon=True)
            self._thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        with self._stack:
            if kind is None:
                self._settle()
            self._request.stop()
            self._thread.join()
            lost = self._link.lost()
        if kind is not None:
            return
        if self._error is not None:
            raise self._error
        if lost:
            text = _("{interface}: the kernel dropped {n} frames of the recording")
            raise LinkError(text.format(interface=printable(self.interface), n=lost))

    def _settle(self) -> None:
        """Wait until frames have ceased to come."""
        begin = last = monotonic()
        count = len(self.frames)
        while self._thread.is_alive() and (now := monotonic()) < last + self._quiet and now < begin + LONGEST:
            sleep(PAUSE)
            if len(self.frames) != count:
                count, last = len(self.frames), monotonic()

    def _record(self) -> None:
        try:
            for frame in frames(self._link, self._request):
                self.frames.append(frame)
        except LinkError as error:
            self._error = error
