"""Conversations of this machine's kernel over random paths, and what labkit finds in them; see scripts/kernel-paths.

Each trial has a lab of its own, whose relay applies a random path: loss, delay, reordering, duplication, queues, ECN marks. Both
kernels get random settings, and two programs act at random (`kernel_paths_program`). Left out is what makes a kernel break a rule
on purpose: forced SYN cookies, whose host forgets that it has reset a connection, and Multipath TCP, where a segment may cross
its host's own reset.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import which
from tempfile import TemporaryDirectory

LABKIT = (sys.executable, "-P", "-m", "labkit")
PROGRAM = Path(__file__).with_name("kernel_paths_program.py")
ENDS = ("client", "server")
PATIENCE = 25
"""Seconds that the programs of a trial may take."""

SETTINGS: dict[str, tuple[float, tuple[str, ...]]] = {
    "sack": (0.2, ("0",)),
    "timestamps": (0.2, ("0", "2")),
    "window_scaling": (0.15, ("0",)),
    "ecn": (0.5, ("0", "1", "3", "4", "5")),
    "ecn_option": (0.3, ("0", "1", "2")),
    "dsack": (0.2, ("0",)),
    "fastopen": (1, ("3", "1027")),
    "congestion_control": (0.4, ("reno", "bbr", "cubic")),
    "rmem": (0.2, ("4096 8192 16384",)),
    "shrink_window": (0.2, ("1",)),
    "recovery": (0.1, ("0",)),
    "frto": (0.1, ("0",)),
    "mtu_probing": (0.15, ("1", "2")),
    "tw_reuse": (0.3, ("0", "1")),
    "early_retrans": (0.1, ("0",)),
    "limit_output_bytes": (0.1, ("4096",)),
    "adv_win_scale": (0.1, ("2",)),
    "rfc1337": (0.2, ("1",)),
    "rto_min_us": (0.1, ("5000",)),
    "reflect_tos": (0.1, ("1",)),
}
"""Settings `net.ipv4.tcp_*`: how often a kernel gets another value, and which. One that it does not know stays as it is."""


@dataclass
class Trial:
    """One conversation or several between the same programs."""

    seed: int
    mtu: int = 1500
    version: int = 4
    path: dict[str, object] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """By end."""


def trial(seed: int) -> Trial:
    """The trial of a seed."""
    draw = Random(f"kernel-paths/{seed}")
    path: dict[str, object] = {"rtt": draw.choice(["0.4ms", "2ms", "10ms", "40ms", "120ms"])}
    path |= {"to_server": _way(draw), "to_client": _way(draw)}
    if draw.random() < 0.2:
        path["hops"] = 3
    settings = {
        end: {name: draw.choice(values) for name, (share, values) in SETTINGS.items() if draw.random() < share}
        for end in ENDS
    }
    return Trial(seed, draw.choice([1500, 1500, 1500, 1280, 9000]), draw.choice([4, 4, 6]), path, settings)


def _way(draw: Random) -> dict[str, object]:
    way: dict[str, object] = {}

    def some(most: int, count: int) -> list[int]:
        return sorted(draw.sample(range(1, most), draw.randint(1, count)))

    if draw.random() < 0.5:
        way["loss"] = draw.choice(["1%", "3%", "8%", "15%"])
    if draw.random() < 0.4:
        way["jitter"] = draw.choice(["0.5ms", "2ms", "8ms"])
    if draw.random() < 0.4:
        way["late"] = {number: draw.choice(["3ms", "12ms", "40ms"]) for number in some(60, 8)}
    if draw.random() < 0.3:
        way["duplicate"] = some(60, 5)
    if draw.random() < 0.3:
        way["lose"] = some(40, 4)
    if draw.random() < 0.3:
        way |= {"bandwidth": draw.choice(["2Mbit/s", "10Mbit/s", "50Mbit/s"]), "queue": draw.choice([5, 20, 100])}
        if draw.random() < 0.5:
            way["mark_queue"] = draw.choice([2, 4])
    if draw.random() < 0.15:
        way["mark"] = some(60, 3)
    if draw.random() < 0.1:
        way["burst"] = {"chance": "2%", "length": 4}
    return way


def scenario(what: Trial) -> str:
    """The scenario whose path the relay applies."""
    return f"name: trial-{what.seed}\npath: {_flow(what.path)}\nsteps:\n  - client: connect\n"


def _flow(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def play(what: Trial, lab: str, folder: Path) -> list[Path]:
    """Have both kernels hold the conversations; the captures of both ends."""
    _labkit("lab", "up", "--name", lab, "--relay", "--mtu", str(what.mtu))
    with ExitStack() as stack:
        stack.callback(_labkit, "lab", "down", "--name", lab)
        for end in ENDS:
            for name, value in what.settings[end].items():
                setting = f"net.ipv4.tcp_{name}={value}"
                subprocess.run([*_at(lab, end), "sysctl", "-qw", setting], capture_output=True, check=False)
        path = folder / f"{what.seed}.yaml"
        path.write_text(scenario(what))
        stack.enter_context(_running(*LABKIT, "relay", str(path), "--lab", lab, "--seed", str(what.seed)))
        captures = [folder / f"{what.seed}-{end}.pcap" for end in ENDS]
        for end, capture in zip(ENDS, captures, strict=True):
            dump = ("tcpdump", "-i", f"labkit-{end}", "-Us", "0", "-w", str(capture), "tcp or ip proto 44")
            stack.enter_context(_running(*_at(lab, end), *dump))
        words = (str(what.seed), str(what.version))
        with _running(*_at(lab, "server"), sys.executable, str(PROGRAM), "server", *words):
            client = [*_at(lab, "client"), sys.executable, str(PROGRAM), "client", *words]
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(client, timeout=PATIENCE, capture_output=True, check=False)
        time.sleep(0.5)  # for what is still under way
    return captures


def _labkit(*words: str) -> None:
    subprocess.run([*LABKIT, *words], check=True, capture_output=True)


def _at(lab: str, end: str) -> tuple[str, ...]:
    return "ip", "netns", "exec", f"labkit-{lab}-{end}"


@contextmanager
def _running(*command: str) -> Iterator[None]:
    """A program that runs during a block, which begins when the program has said on standard error that it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.communicate()


Found = tuple[str, str, str]
"""Severity, code and name."""


@dataclass
class Judged:
    """What labkit says of the captures of some trials."""

    captures: int = 0
    packets: int = 0
    found: dict[Found, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The places of errors and warnings."""

    def add(self, captures: list[Path]) -> None:
        """Verify captures."""
        command = [*LABKIT, "verify", "--format", "json", *map(str, captures)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for one in json.loads(done.stdout)["captures"]:
            self.captures += 1
            self.packets += one["packets"]
            for each in one["findings"] or []:
                if each["severity"] != "note":
                    place = f"{Path(one['path']).name}: packet {each['packet']}"
                    self.found[each["severity"], each["code"], each["name"]].append(place)

    @property
    def errors(self) -> int:
        """How many errors there are."""
        return sum(len(places) for (severity, _code, _name), places in self.found.items() if severity == "error")


def main() -> int:
    """Run the trials; 1 if there is an error, 4 if something is missing."""
    parser = argparse.ArgumentParser(
        prog="scripts/kernel-paths", description="Verify what a kernel sends on random paths."
    )
    parser.add_argument("--trials", type=int, default=100, help="how many (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (0)")
    parser.add_argument("--jobs", type=int, default=2, help="labs at a time (2)")
    parser.add_argument("--keep", type=Path, help="keep the captures in this folder")
    options = parser.parse_args()
    if os.geteuid() != 0 or not which("tcpdump"):
        print("scripts/kernel-paths: it needs root and tcpdump", file=sys.stderr)
        return 4
    judged = Judged()
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(options.jobs) as pool:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)

        def one(number: int) -> list[Path]:
            return play(trial(options.seed + number), f"paths-{os.getpid()}-{number}", folder)

        for done, captures in enumerate(pool.map(one, range(options.trials)), 1):
            judged.add(captures)
            print(f"\r{done} of {options.trials} trials", end="", file=sys.stderr)
    print(file=sys.stderr)
    for (severity, code, name), places in sorted(judged.found.items()):
        print(f"{severity}[{code}] {len(places)} × {name} ({places[0]}{', …' if len(places) > 1 else ''})")
    print(f"{judged.captures} captures, {judged.packets:,} packets, {judged.errors} errors")
    return 1 if judged.errors or not judged.packets else 0


if __name__ == "__main__":
    sys.exit(main())
