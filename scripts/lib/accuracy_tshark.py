"""tshark's names for each TCP segment of a capture, cached between runs.

The cache key is a digest of the capture, tshark's version and the command.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

NAMES = (
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "out_of_order",
    "lost_segment",
    "duplicate_ack",
    "keep_alive",
    "keep_alive_ack",
    "zero_window",
    "window_update",
    "window_full",
    "zero_window_probe",
    "zero_window_probe_ack",
)
"""The fields of `tcp.analysis`."""

FIELDS = ("frame.number", "tcp.checksum.status", "tcp.option.len.invalid", *(f"tcp.analysis.{name}" for name in NAMES))

COMMAND = (
    *("tshark", "-2", "-n", "-o", "tcp.check_checksum:TRUE", "-T", "fields", "-Y", "tcp && !icmp && !icmpv6"),
    *(word for field in FIELDS for word in ("-e", field)),
)
"""The filter leaves out segments that an ICMP error quotes."""

BAD = "0"
"""`tcp.checksum.status`."""


def version() -> str:
    """Return tshark's version, such as `4.0.17`."""
    shown = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout
    return next(word.strip(".,") for word in shown.split() if word[0].isdigit())


def ask(path: Path, release: str) -> dict[int, set[str]]:
    """Return tshark's names for each TCP segment, by frame number; an empty set for a segment without one.

    The names are those of `NAMES`, `checksum` and `option_length`. tshark reads a damaged capture up to the damage.
    """
    question = hashlib.sha256("\0".join((release, *COMMAND)).encode())
    question.update(path.read_bytes())
    kept = Path(tempfile.gettempdir(), f"labkit-accuracy-{os.getuid()}", question.hexdigest())
    if not kept.exists():
        answer = subprocess.run([*COMMAND, "-r", str(path)], capture_output=True, check=False).stdout
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_bytes(answer)
        partial.replace(kept)
    return dict(_names(line) for line in kept.read_text("utf-8", "replace").splitlines())


def _names(line: str) -> tuple[int, set[str]]:
    number, checksums, options, *marks = line.split("\t")
    names = {name for name, mark in zip(NAMES, marks, strict=True) if mark}
    if BAD in checksums.split(","):
        names.add("checksum")
    if options:
        names.add("option_length")
    return int(number), names
