"""Write result files, each whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree

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


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder with files by their relative paths, whole or not at all. InputError if it exists, or that fails."""
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists():
            raise InputError(_("{name}: exists already").format(name=printable(str(path))))
        path.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        for name, octets in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(octets)
        part.rename(path)
    except (OSError, ValueError) as error:
        reason = _(getattr(error, "strerror", None) or str(error)).lower()
        text = _("{name}: cannot be created: {reason}").format(name=printable(str(path)), reason=reason)
        raise InputError(text) from error
    finally:
        rmtree(part, ignore_errors=True)
