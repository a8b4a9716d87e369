"""Write result files, each whole or not at all."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from shutil import rmtree

from labkit.capture.sink import Sink, make_folder
from labkit.errors import InputError
from labkit.i18n import _, printable, reason_of


def write_file(path: Path, pieces: bytes | Iterable[bytes], *, secret: bool = False) -> None:
    """Write a file, whose folder is made, in one piece or several. Nobody else may read a `secret` one.

    InputError or CaptureError if that fails.
    """
    make_folder(path.parent)
    sink = Sink(path, secret=secret)
    try:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            sink.write(piece)
        sink.commit()
    finally:
        sink.discard()


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder with files by their relative paths, whole or not at all. InputError if it exists, or that fails.

    Until then it is `.NAME.part`, which only SIGKILL leaves behind; the next attempt removes that.
    """
    part, made = path.with_name(f".{path.name}.part"), False
    try:
        if path.exists():
            raise InputError(_("{name}: exists already").format(name=printable(str(path))))
        make_folder(path.parent)
        if part.is_dir() and not part.is_symlink() and part.stat().st_uid == os.geteuid():
            rmtree(part)
        part.mkdir()
        made = True
        for name, octets in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(octets)
        part.rename(path)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        text = _("{name}: cannot be created: {reason}").format(name=printable(str(path)), reason=reason)
        raise InputError(text) from error
    finally:
        if made:
            rmtree(part, ignore_errors=True)
