"""Kill the commands that make labs, at random moments; see scripts/kills. Root only.

Afterwards no process of theirs runs, and after `labkit lab down` of the same name no namespace, interface, record or temporary
file is left that was not there before.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

NAME = "kills"
MARK = "LABKIT_KILLS"
"""The variable by which the processes of a command are known, in whatever session or namespace."""
SECONDS = 15
"""For how long what cleans up after a killed command may take."""

LABS: dict[str, tuple[str, ...]] = {
    "lab-up": ("lab", "up", "--name", NAME, "--relay"),
    "lab-exec": ("lab", "exec", "--", "sleep", "0.3"),
    "play": ("play", "document", "--both", "--topspeed", "--capture", "out.pcapng"),
    "play-kernel": ("play", "document", "--client", "--peer", "kernel", "--capture", "out.pcapng"),
    "relay": (
        "lab",
        "exec",
        "--relay",
        "--",
        sys.executable,
        "-P",
        "-m",
        "labkit",
        "relay",
        "lossy-both-sides",
        "--for",
        "300ms",
    ),
}


class LostError(Exception):
    """A file was lost, or something was left behind."""


def start(
    words: Sequence[str], folder: Path, variables: dict[str, str], before: Callable[[], None] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a command in a folder, in a session of its own. `before` is called in its process."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "labkit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=before,
        env={**os.environ, "LANGUAGE": "en", **variables},
    )


def run(words: Sequence[str], folder: Path, mark: str) -> "subprocess.Popen[bytes]":
    return start(words, folder, {"TMPDIR": str(folder), MARK: mark})


def processes(mark: str) -> list[int]:
    """The processes of a command that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def left(folder: Path, part: str) -> set[str]:
    """The files in the folder, and the namespaces, records and interfaces whose names have a part."""
    places = (Path("/run/netns"), Path("/run/labkit"), Path("/sys/class/net"))
    found = {str(path) for place in places if place.is_dir() for path in place.iterdir() if part in path.name}
    return found | set(map(str, folder.iterdir()))


def attempts(count: int, seed: int, names: list[str], part: str = "") -> Iterator[str]:
    """Kill commands `count` times in turn; yield a line for each. LostError at the first thing that is left.

    Where others make labs meanwhile, `part` is a part of the names that are looked at: NAME.
    """
    draw = random.Random(seed)
    seconds: dict[str, float] = {}
    for number in range(count):
        name = names[number % len(names)]
        with TemporaryDirectory(prefix="labkit-kills-") as place:
            folder = Path(place)
            before = left(folder, part)
            if name not in seconds:
                began = time.monotonic()
                if code := run(LABS[name], folder, f"{os.getpid()}-first").wait():
                    raise LostError(f"{name}: exit code {code}")
                seconds[name] = time.monotonic() - began
                checked(name, folder, before, f"{os.getpid()}-first", part)
            kill, after = draw.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)), draw.random() * seconds[name]
            mark = f"{os.getpid()}-{number}"
            process = run(LABS[name], folder, mark)
            time.sleep(after)
            process.send_signal(kill)
            process.wait()
            checked(f"{name}, {kill.name} after {after:.3f} s", folder, before, mark, part)
            yield f"{name}: {kill.name} after {after:.3f} s"


def checked(what: str, folder: Path, before: set[str], mark: str, part: str) -> None:
    until = time.monotonic() + SECONDS
    while (running := processes(mark)) and time.monotonic() < until:
        time.sleep(0.05)
    if running:
        raise LostError(f"{what}: leaves processes: {running}")
    if code := run(("lab", "down", "--name", NAME), folder, f"{mark}-down").wait():
        raise LostError(f"{what}: labkit lab down: exit code {code}")
    capture = folder / "out.pcapng"
    if capture.exists():
        if run(("show", capture.name), folder, f"{mark}-show").wait():
            raise LostError(f"{what}: {capture.name} is not a whole capture")
        capture.unlink()
    # /run/labkit itself stays.
    if more := left(folder, part) - before - {"/run/labkit", "/run/netns"}:
        raise LostError(f"{what}: leaves {sorted(more)}")
