"""Kill the commands that write, at random moments, and have them meet a full disk; see scripts/kills.

Before each run the target is a file that was there before. Afterwards it is that file or the whole new one, nothing else lies in
its folder, and no process of the command runs on.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

COMMANDS: dict[str, tuple[str, ...]] = {
    "build": ("build", "lossy-both-sides", "--seed", "3", "-o", "{}.pcapng"),
    "annotate": ("verify", "../in.pcapng", "--annotate", "{}.pcapng"),
    "verify": ("verify", "../in.pcapng", "--format", "html", "-o", "{}.html"),
    "repair": ("repair", "../in.pcapng", "-o", "{}.pcapng"),
    "diff": ("diff", "../in.pcapng", "../in.pcapng", "--annotate", "{}.pcapng"),
    "draw": ("draw", "../in.pcapng", "-o", "{}.svg"),
    "grade": ("grade", "handshake", "../in.pcapng", "-o", "{}.json"),
    "quiz": ("quiz", "lossy-both-sides", "-o", "{}.md"),
    "quiz-archive": ("quiz", "lossy-both-sides", "-o", "{}.zip", "--format", "qti"),
    "quiz-capture": ("quiz", "lossy-both-sides", "--capture", "{}.pcapng"),
    "wrap": ("wrap", "../in.pcapng", "-o", "{}.pcapng"),
    "baseline": ("verify", "../in.pcapng", "--write-baseline", "{}.txt"),
}
"""Commands that write one file; the braces stand for its name without suffix."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
"""The exit code of a command that was interrupted."""
OLD = b"what was there before\n"


class LostError(Exception):
    """A file was lost, or something was left behind."""


def run(words: list[str], folder: Path, most: int | None = None) -> "subprocess.Popen[bytes]":
    """Start a command in a folder; `most` bounds the octets of each file that it may write, as a full disk does."""

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most or 0, most or 0))

    return subprocess.Popen(
        [sys.executable, "-P", "-m", "labkit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=None if most is None else full,
        env={**os.environ, "LANGUAGE": "en", "LABKIT_DEBUG": ""},
    )


def attempts(count: int, seed: int, names: list[str]) -> Iterator[str]:
    """Kill commands `count` times in turn, and give each a full disk once; yield a line for each. LostError at the first loss."""
    draw = random.Random(seed)
    with TemporaryDirectory(prefix="labkit-kills-") as place:
        source = Path(place, "in.pcapng")
        words = ["build", "lossy-both-sides", "-o", str(source)]
        if run(words, Path(place)).wait():
            raise LostError("labkit build does not work")
        whole = {name: finished(Path(place), name) for name in names}
        for name in names:
            octets, _seconds = whole[name]
            most = draw.randrange(len(octets))
            code = outcome(Path(place), name, octets, None, most=most)
            if code not in (3, 141):
                raise LostError(f"{name}: a disk that is full after {most} bytes: exit code {code}")
            yield f"{name}: full after {most} bytes"
        for number in range(count):
            name, kill = names[number % len(names)], draw.choice(SIGNALS)
            octets, seconds = whole[name]
            after = draw.random() * seconds
            outcome(Path(place), name, octets, (after, kill))
            yield f"{name}: {kill.name} after {after:.3f} s"


def finished(place: Path, name: str) -> tuple[bytes, float]:
    """What a command writes if nothing happens, and how long it takes."""
    folder, target, words = prepared(place, name)
    began = time.monotonic()
    run(words, folder).wait()
    octets = target.read_bytes()
    if octets == OLD:
        raise LostError(f"{name}: writes nothing")
    return octets, time.monotonic() - began


def outcome(
    place: Path, name: str, whole: bytes, killed: tuple[float, signal.Signals] | None, most: int | None = None
) -> int:
    """The exit code of a command that is killed, or may write `most` octets. LostError if it left anything but a whole file."""
    folder, target, words = prepared(place, name)
    process = run(words, folder, most)
    if killed is not None:
        time.sleep(killed[0])
        process.send_signal(killed[1])
    code = process.wait()
    until = time.monotonic() + 10
    while (running := members(process.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    if running:
        raise LostError(f"{name}, {killed or most}: leaves processes: {running}")
    left = sorted(path.name for path in folder.iterdir())
    if left != [target.name]:
        raise LostError(f"{name}, {killed or most}: leaves {left}")
    octets = target.read_bytes()
    interrupted = killed is not None and killed[1] == signal.SIGINT and code == INTERRUPTED
    if octets not in (OLD, whole) and not (interrupted and complete(target, octets, whole)):
        raise LostError(f"{name}, {killed or most}: {len(octets)} bytes, neither the old file nor the new one")
    return code


def complete(target: Path, octets: bytes, whole: bytes) -> bool:
    """Whether a file is a whole one of its kind: Ctrl-C ends the reading, and the report on what was read is written."""
    if target.suffix == ".pcapng":
        return run(["show", target.name], target.parent).wait() == 0
    return octets[-8:] == whole[-8:]


def members(group: int) -> list[int]:
    """The processes of a group that run, as far as the system has /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, its_group = path.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(path.parent.name))
    return found


def prepared(place: Path, name: str) -> tuple[Path, Path, list[str]]:
    """An empty folder with an old file, that file, and the command that replaces it."""
    folder = place / name
    folder.mkdir(exist_ok=True)
    for each in folder.iterdir():
        each.unlink()
    words = [word.format("out") for word in COMMANDS[name]]
    target = next(folder / word for word in words if word.startswith("out."))
    target.write_bytes(OLD)
    return folder, target, words


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/kills", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("commands", nargs="*", choices=[*COMMANDS, []], help="which commands; all without any")
    given = parser.parse_args(arguments)
    done = 0
    try:
        for line in attempts(given.count, given.seed, given.commands or list(COMMANDS)):
            done += 1
            print(line, file=sys.stderr)
    except LostError as error:
        print(f"kills: {error}", file=sys.stderr)
        return 1
    print(f"kills: {done} times, nothing was lost and nothing was left", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
