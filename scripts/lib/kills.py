"""Kill the commands that write, at random moments, and have them meet a full disk; see scripts/kills.

Before each run the target is a file that was there before. Afterwards it is that file or the whole new one, nothing else lies in
its folder, and no process of the command runs on. Of a folder, each file is whole, and the same command then writes all of it.
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
from itertools import chain
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import lab_kills
from lab_kills import LostError

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

FOLDERS: dict[str, tuple[str, ...]] = {
    "pages": ("verify", "../in.pcapng", "../two.pcapng", "--format", "html", "-o", "out"),
    "feedback": ("grade", "handshake", "../handins", "-o", "out.csv", "-o", "out.xlsx", "--feedback", "out"),
    "results": ("grade", "handshake", "../handins", "--format", "gradescope", "-o", "out/"),
    "assign": (
        *("assign", "build", "wraparound", "--roster", "../class.csv", "--key", "../key"),
        *("-o", "out", "--answers", "out.json"),
    ),
    "models": ("assign", "show", "wraparound", "--models", "out"),
    "variants": ("build", "lossy-both-sides", "--variants", "../class.csv", "--key", "../key", "-o", "out"),
    "questions": ("quiz", "lossy-both-sides", "--format", "prairielearn", "-o", "out"),
    "wireshark": ("wireshark", "install"),
    "trust": ("trust", "../labkit.toml"),
}  # fmt: skip
"""Commands that write several files."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
INTERRUPTED = 130
"""The exit code of a command that was interrupted."""
OLD = b"what was there before\n"


def run(words: list[str], folder: Path, most: int | None = None) -> "subprocess.Popen[bytes]":
    """Start a command in a folder; `most` bounds the octets of each file that it may write, as a full disk does."""

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most or 0, most or 0))

    out = str(folder / "out")
    variables = {"LABKIT_DEBUG": "", "WIRESHARK_CONFIG_DIR": out, "XDG_STATE_HOME": out}
    return lab_kills.start(words, folder, variables, None if most is None else full)


def attempts(count: int, seed: int, names: list[str]) -> Iterator[str]:
    """Kill commands `count` times in turn, and give each a full disk once; yield a line for each. LostError at the first loss."""
    draw = random.Random(seed)
    with TemporaryDirectory(prefix="labkit-kills-") as place:
        given(Path(place))
        whole = {name: finished(Path(place), name) for name in names}
        for name in names:
            files, _seconds = whole[name]
            most = draw.randrange(max(map(len, files.values())))
            code = outcome(Path(place), name, files, None, most=most)
            if code not in (3, 141):
                raise LostError(f"{name}: a disk that is full after {most} bytes: exit code {code}")
            yield f"{name}: full after {most} bytes"
        for number in range(count):
            name, kill = names[number % len(names)], draw.choice(SIGNALS)
            files, seconds = whole[name]
            after = draw.random() * seconds
            outcome(Path(place), name, files, (after, kill))
            yield f"{name}: {kill.name} after {after:.3f} s"


def given(place: Path) -> None:
    """The files that the commands read."""
    for file, scenario in (("in", "lossy-both-sides"), ("two", "handshake"), ("handins/ann", "handshake")):
        (place / file).parent.mkdir(exist_ok=True)
        if run(["build", scenario, "-o", str(place / f"{file}.pcapng")], place).wait():
            raise LostError("labkit build does not work")
    (place / "class.csv").write_text("student\n" + "".join(f"s{number}\n" for number in range(8)))
    (place / "key").write_bytes(bytes(range(32)))
    (place / "labkit.toml").write_text('fail-on = "warning"\n')


def finished(place: Path, name: str) -> tuple[dict[str, bytes], float]:
    """The files that a command writes if nothing happens, and how long it takes."""
    folder, words = prepared(place, name)
    began = time.monotonic()
    run(words, folder).wait()
    files = written(folder)
    if not files or OLD in files.values():
        raise LostError(f"{name}: writes nothing")
    return files, time.monotonic() - began


def written(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def outcome(
    place: Path,
    name: str,
    whole: dict[str, bytes],
    killed: tuple[float, signal.Signals] | None,
    most: int | None = None,
) -> int:
    """The exit code of a command that is killed, or may write `most` octets. LostError if it left anything but whole files."""
    folder, words = prepared(place, name)
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
    found, several = written(folder), name in FOLDERS
    # No system has folders without a name: what SIGKILL leaves of one, the next run removes.
    part = f".out.part{os.sep}" if killed is not None and killed[1] == signal.SIGKILL else os.sep
    left = sorted(each for each in found if each not in whole and not each.startswith(part))
    if left or (not several and not found):
        raise LostError(f"{name}, {killed or most}: leaves {left or 'no file'}")
    interrupted = killed is not None and killed[1] == signal.SIGINT and code == INTERRUPTED
    for each, octets in found.items():
        if each.startswith(part) or octets == whole[each] or (octets == OLD and not several):
            continue
        if not (interrupted and complete(folder / each, octets, whole[each])):
            raise LostError(
                f"{name}, {killed or most}: {each}: {len(octets)} bytes, neither the old file nor the new one"
            )
    if several and killed is not None and found != whole:
        run(words, folder).wait()
        if written(folder) != whole:
            raise LostError(f"{name}, {killed}: the same command does not write the rest afterwards")
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


def prepared(place: Path, name: str) -> tuple[Path, list[str]]:
    """An empty folder, with an old file where the command writes one, and the command."""
    folder = place / name
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    words = [word.format("out") for word in {**COMMANDS, **FOLDERS}[name]]
    if name in COMMANDS:
        target = next(folder / word for word in words if word.startswith("out."))
        target.write_bytes(OLD)
    return folder, words


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/kills", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many kills")
    parser.add_argument("--seed", type=int, default=1)
    labs = [*lab_kills.LABS] if os.geteuid() == 0 else []
    known = [*COMMANDS, *FOLDERS, *labs]
    parser.add_argument("commands", nargs="*", choices=[*known, []], help="which commands; all without any")
    chosen = parser.parse_args(arguments)
    names, done = chosen.commands or known, 0
    files, wires = [each for each in names if each not in labs], [each for each in names if each in labs]
    share = chosen.count * len(wires) // len(names)
    try:
        for line in chain(
            attempts(chosen.count - share, chosen.seed, files) if files else (),
            lab_kills.attempts(share, chosen.seed, wires),
        ):
            done += 1
            print(line, file=sys.stderr)
    except LostError as error:
        print(f"kills: {error}", file=sys.stderr)
        return 1
    print(f"kills: {done} times, nothing was lost and nothing was left", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
