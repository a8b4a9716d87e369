"""Write result files, each whole or not at all."""

from pathlib import Path

from labkit.capture.sink import Sink
from labkit.errors import InputError
from labkit.i18n import _, printable


def write_file(path: Path, octets: bytes) -> None:
    """Write a file, and make its folder. InputError or CaptureError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = _(error.strerror or str(error)).lower()
        text = _("{name}: cannot be created: {reason}").format(name=printable(str(path.parent)), reason=reason)
        raise InputError(text) from error
    sink = Sink(path)
    try:
        sink.write(octets)
        sink.commit()
    finally:
        sink.discard()
