"""Files of many conversations: each equals, octet for octet, its own simulation."""

import signal
import subprocess
import sys
from io import BytesIO
from itertools import pairwise
from multiprocessing import get_all_start_methods
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single import single

from labkit import verify
from labkit.analysis.severity import Severity
from labkit.build.bulk import build
from labkit.build.bulk.bulk_plan import BulkPlan, Field
from labkit.build.bulk.order import interleaved
from labkit.build.bulk.schedule import Block, Schedule
from labkit.build.bulk.template import prepare
from labkit.build.scenario import Scenario, merge, shipped
from labkit.capture import Frame, open_capture
from labkit.cli import run
from labkit.errors import CaptureError, MissingError, ScenarioError, UsageError

STEPS = "steps: [client: connect, client: {send: 9}, server: {send: 9}, client: close, server: close]\n"


def scenario(rest: str = "", steps: str = STEPS) -> Scenario:
    return Scenario.parse(f"name: test\n{rest}\n{steps}")


def frames(octets: bytes) -> list[Frame]:
    with open_capture(BytesIO(octets)) as capture:
        found = list(capture)
    assert capture.damage is None
    return found


def written(wanted: Scenario, flows: int, seed: int = 0, format_: str = "pcapng") -> list[Frame]:
    target = BytesIO()
    count = build(wanted, flows, target, seed=seed, format=format_)
    found = frames(target.getvalue())
    assert len(found) == count
    return found


@pytest.mark.parametrize("flows", [1, 700, 70_000])
def test_progress_tells_the_packets_of_all(flows: int, tmp_path: Path) -> None:
    # The clients of a closed port get one packet more than those of an open one.
    refused = scenario("conversations: {count: 1, clients: 10.0.0.0/8, server_ports: 80..82, listening: [80]}")
    seen: list[tuple[int, int]] = []
    count = build(refused, flows, tmp_path / "a.pcap", on_progress=lambda *each: seen.append(each))
    assert seen[-1] == (count, count)
    assert {total for _, total in seen} == {count}
    assert seen == sorted(seen)


def blocks(wanted: Scenario, flows: int, seed: int = 0, size: int = 3) -> tuple[BulkPlan, list[Block]]:
    plan = prepare(wanted, flows, seed)
    return plan, list(Schedule(plan).blocks(size))


def one_by_one(wanted: Scenario, flows: int, seed: int) -> list[tuple[int, int, bytes]]:
    """Time, interface and octets of all packets, with each conversation simulated alone."""
    plan, columns = blocks(wanted, flows, seed)
    found = []
    for block in columns:
        for column in range(len(block.begin)):
            trace = merge.play_one(wanted.model, wanted.source, single(wanted, plan, block, column))
            taps = list(dict.fromkeys(record.tap for record in trace))
            place = block.first + column
            found += [
                (trace.start + record.time, place, taps.index(record.tap), octets)
                for record, octets, _, _ in trace.captured()
            ]
    return [(time, interface, octets) for time, _, interface, octets in sorted(found, key=lambda each: each[:2])]


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_scenario(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    wanted = Scenario.load(name)
    if any(side.md5 or side.ao for side in (wanted.model.client, wanted.model.server)):
        with pytest.raises(UsageError, match="signs its segments"):
            build(wanted, 3, path, seed=1)
        return
    build(wanted, 3, path, seed=1)
    found = frames(path.read_bytes())
    assert [(frame.time, frame.interface, frame.data) for frame in found] == one_by_one(wanted, 3, 1)
    verdict = verify(path)
    assert [each for each in verdict.findings if each.severity >= Severity.WARNING] == []
    # Captured at both sides, a conversation is judged at each.
    assert verdict.flows == 3 * (2 if wanted.model.capture == "both" else 1) * len(
        {record.connection for record in wanted.play()} if wanted.model.conversations is None else {0}
    )


chances = st.sampled_from(["0", "5%", "20%"])
sides = st.fixed_dictionaries(
    {
        "isn": st.sampled_from(["random", "0", "4294967295", "1..4000000000"]),
        "timestamps": st.sampled_from(["true", "false"]),
        "window_scale": st.sampled_from(["off", "3"]),
        "fast_open": st.sampled_from(["off", "a0b1c2d3"]),
        "mss": st.sampled_from(["536", "1440"]),
        "ttl": st.sampled_from(["64", "255"]),
    }
)
networks = st.sampled_from(
    [
        ("192.0.2.20", "198.51.100.0/24"),
        ("192.0.2.20", "192.0.2.18-192.0.2.23"),  # the server is among them
        ("2001:db8::20", "2001:db8::18-2001:db8::23"),
        ("2001:db8::20", "2001:db8:1::/64"),
        ("192.0.2.20", None),
    ]
)


def flow_of(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


@given(st.data())
@settings(max_examples=30)
def test_each_conversation_equals_its_own_simulation(data: st.DataObject) -> None:
    draw = data.draw
    server, clients = draw(networks)
    link = draw(st.sampled_from(["ethernet", "raw"]))
    path = {
        "hops": draw(st.sampled_from(["0", "5"])),
        "fragment": draw(st.sampled_from(["1280", "1500"] if ":" in server else ["68", "300", "1500"])),
        "to_server": flow_of({"loss": draw(chances), "jitter": "3ms"}),
        "to_client": flow_of({"loss": draw(chances), "duplicate": "[3]"}),
    }
    if draw(st.booleans()):
        del path["fragment"]
    conversations = {"count": "1", "ports": draw(st.sampled_from(["1024..65535", "40000..40009"]))}
    conversations["arrivals"] = draw(st.sampled_from(["every 0ms", "every 1ms", "poisson 5ms", "every 1234567ns"]))
    if clients:
        conversations["clients"] = clients
    if draw(st.booleans()):
        conversations |= {"server_ports": "[80, 443, 8080]", "listening": draw(st.sampled_from(["80", "[80, 8080]"]))}
    text = "\n".join(
        [
            f"client: {flow_of(draw(sides))}",
            f"server: {flow_of({'address': server, **draw(sides)})}",
            f"link: {link}",
            "vlan: [7, 8]" if link == "ethernet" and draw(st.booleans()) else "",
            f"path: {flow_of(path)}",
            f"capture: {draw(st.sampled_from(['client', 'server', 'both']))}",
            f"conversations: {flow_of(conversations)}",
        ]
    )
    steps = draw(st.sampled_from([STEPS, STEPS.replace("{send: 9}", "{send: 3000..9000}"), CRASH]))
    wanted = scenario(text, steps)
    flows, seed = draw(st.integers(1, 9)), draw(st.integers(0, 99))
    try:
        found = written(wanted, flows, seed)
    except UsageError as error:
        assert "cuts TCP headers" in str(error)
        return
    except ScenarioError:  # a step that never completes, because of what was lost
        return
    assert [(frame.time, frame.interface, frame.data) for frame in found] == one_by_one(wanted, flows, seed)


CRASH = """steps:
  - client: connect
  - client: {send: 9}
  - server: crash
  - client: {send: {octets: 9, after: 1s}}
  - client: {wait: 300s}
  - client: connect
  - client: {send: 9}
  - client: close
  - server: close
"""


def test_both_formats_hold_the_same_packets() -> None:
    wanted = scenario("link: raw")
    pcap, pcapng = (written(wanted, 5, format_=name) for name in ("pcap", "pcapng"))
    assert [(frame.time, frame.data) for frame in pcap] == [(frame.time, frame.data) for frame in pcapng]


def test_one_conversation_is_the_file_of_its_trace(tmp_path: Path) -> None:
    wanted = Scenario.load("document")
    plan, (block,) = blocks(wanted, 1)
    trace = merge.play_one(wanted.model, wanted.source, single(wanted, plan, block, 0))
    for name in ("a.pcap", "a.pcapng"):
        trace.write(tmp_path / name, edition="student")
        build(wanted, 1, tmp_path / f"bulk-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"bulk-{name}").read_bytes()


def test_the_same_seed_gives_the_same_file() -> None:
    files = []
    for seed in (1, 1, 2):
        build(scenario(), 40, target := BytesIO(), seed=seed, format="pcap")
        files.append(target.getvalue())
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    "conversations",
    [
        "{count: 1, clients: 192.0.2.16-192.0.2.23, ports: 5000..5009}",
        "{count: 1, clients: 192.0.2.16-192.0.2.23, ports: 5000..5002, server_ports: [80, 81, 82]}",
        "{count: 1, ports: 5000..5063}",
    ],
)
def test_no_two_have_the_same_addresses_and_ports(conversations: str) -> None:
    wanted = scenario(f"conversations: {conversations}")
    # As many as there are.
    flows = 63 if "server_ports" in conversations else 64 if "clients" not in conversations else 70
    _, columns = blocks(wanted, flows)
    fields = np.concatenate([block.fields for block in columns])
    tuples = fields[:, [Field.CLIENT_ADDRESS, Field.CLIENT_PORT, Field.SERVER_PORT]]
    assert len(np.unique(tuples, axis=0)) == flows
    assert 0xC0000214 not in tuples[:, 0]
    with pytest.raises(
        ScenarioError,
        match=f"suffice for {flows} flows; expected at most that many, not {flows + 1}$",
    ):
        prepare(wanted, flows + 1, 0)


def test_conversations_arrive_as_the_scenario_says() -> None:
    plan, columns = blocks(scenario("conversations: {count: 1, clients: 10.0.0.0/8, arrivals: poisson 10ms}"), 5000)
    begins = [int(begin) for block in columns for begin in block.begin]
    assert begins[0] == 0
    assert begins == sorted(begins)
    gaps = [after - before for before, after in pairwise(begins)]
    assert sum(gaps) / len(gaps) == pytest.approx(plan.gap, rel=0.1)
    # Half of an exponential distribution lies below ln 2 of its mean.
    assert sum(gap < plan.gap * 0.6931 for gap in gaps) / len(gaps) == pytest.approx(0.5, abs=0.05)
    every = scenario("conversations: {count: 1, clients: 10.0.0.0/8, arrivals: every 3ms}")
    assert [int(begin) for block in blocks(every, 7)[1] for begin in block.begin] == [n * 3_000_000 for n in range(7)]


def test_memory_holds_only_open_conversations() -> None:
    """Conversations of about 0.1 s begin every 10 ms: few are open at the same time."""
    held = [len(fields) for _, fields in interleaved(Schedule(prepare(Scenario.load("document"), 60_000, 0)))]
    assert len(held) > 5
    assert max(held) < 10_000
    times = [packets.time for packets, _ in interleaved(Schedule(prepare(Scenario.load("document"), 20_000, 0)))]
    assert (np.diff(np.concatenate(times)) >= 0).all()


WORKER_PROGRAM = """
import os, sys
from labkit.build.bulk import worker
from labkit.errors import LabkitError

name, flows, dies = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "dies"
forks = []
fork = os.fork
os.fork = lambda: forks.append(0) or fork()
if dies:
    worker._send = lambda *_: os._exit(9)
assert "numpy" not in sys.modules
try:
    found = worker.prepare_in_worker(name, flows, 5)
except LabkitError as error:
    print(type(error).__name__, error)
else:
    print(found == worker._prepare(name, flows, 5))
print(len(forks))
"""


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="there is no fork here")
@pytest.mark.parametrize(
    ("name", "flows", "dies", "printed"),
    [
        ("document", 10_000, False, "True\n1\n"),
        ("document", 9_999, False, "True\n0\n"),
        ("document", 10_000, True, "True\n1\n"),
        ("document", 10**9, False, "UsageError 1000000000 flows: expected 1 to 100000000\n1\n"),
        ("nowhere", 10_000, False, "ScenarioError 'nowhere' is not a shipped scenario; 'labkit scenarios' lists them"),
    ],
)
def test_the_worker_prepares_the_same_plan(name: str, flows: int, dies: bool, printed: str) -> None:
    arguments = [name, str(flows), "dies" if dies else "lives"]
    done = subprocess.run(
        [sys.executable, "-c", WORKER_PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(printed)


ORPHAN_PROGRAM = """
import os, signal
from labkit.build.bulk import worker

def prepare(*_):
    {what}
    return bytes(1_000_000)  # more than a pipe holds

worker._prepare = prepare
try:
    worker.prepare_in_worker("document", 10_000, 5)
except (KeyboardInterrupt, ImportError):  # NumPy makes this of an interruption while it is imported
    print("interrupted")
"""


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="there is no fork here")
@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("os.kill(os.getpid(), signal.SIGINT)", (0, "", "")),
        ("os.killpg(0, signal.SIGINT)", (0, "interrupted\n", "")),
        ("os.kill(os.getppid(), signal.SIGTERM)", (-signal.SIGTERM, "", "")),
        ("os.kill(os.getppid(), signal.SIGKILL)", (-signal.SIGKILL, "", "")),
    ],
)
def test_the_worker_ends_with_its_parent(what: str, outcome: tuple[int, str, str]) -> None:
    program = [sys.executable, "-c", ORPHAN_PROGRAM.replace("{what}", what)]
    # What is left over would hold the pipes open until the time is over.
    done = subprocess.run(program, check=False, capture_output=True, text=True, start_new_session=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == outcome


def test_a_time_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    late = scenario("start: 2106-02-07T06:28:14Z\nconversations: {count: 1, clients: 10.0.0.0/8, arrivals: every 1s}")
    with pytest.raises(CaptureError, match="a pcap can hold times from 1970 to 2106"):
        build(late, 9, tmp_path / "a.pcap")
    assert list(tmp_path.iterdir()) == []
    build(late, 9, tmp_path / "a.pcapng")


LOSSY = """client: {timestamps: true, mss: 100}
server: {timestamps: true, mss: 100}
path: {fragment: 68, to_server: {lose: [4, 6]}}"""
"""Two gaps cause two SACK blocks: with timestamps the header has 52 octets, and a fragment holds 48."""


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("faults: ack-goes-back", "has faults; a file of many flows cannot have any"),
        (LOSSY, "cuts TCP headers"),
    ],
)
def test_faults_and_cut_tcp_headers_are_refused(rest: str, message: str) -> None:
    steps = STEPS if "faults" in rest else STEPS.replace("{send: 9}", "{send: 3kB}")
    with pytest.raises(UsageError, match=message):
        prepare(scenario(rest, steps), 3, 0)


# The command.


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["build", "document", "--flows", "30", "--seed", "2", "--format", "pcap"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "labkit: document.pcap: 300 packets, 30 conversations, seed 2\n"
    assert run(["verify", "document.pcap", "--fail-on", "warning"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--fault", "ack-goes-back"], 2, "--flows excludes --fault"),
        (["--manifest", "x"], 2, "--flows excludes --manifest"),
        (["--variants", "x"], 2, "--flows excludes --variants"),
        (["--key", "x"], 2, "--flows excludes --key"),
        (["--edition", "annotated"], 2, "--flows excludes --edition annotated"),
        (["--flows", "0"], 2, "0 is not in the range x>=1"),
        (["--flows", "100000001"], 2, "100000001 flows: expected 1 to 100000000"),
        (["-o", "a.txt"], 2, "the suffix names no capture format"),
        (["-o", "nowhere/a.pcap"], 3, "nowhere/a.pcap: cannot be written"),
    ],
)
def test_incompatible_options_are_refused(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["build", "document", "--flows", "3", *arguments]) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_handwritten_trace_is_not_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", str(tmp_path / "a.pkt"), "--flows", "3"]) == 2
    assert "excludes --flows" in capsys.readouterr().err


WITHOUT_NUMPY = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "numpy" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from labkit.__main__ import main
main()
"""


@pytest.mark.parametrize("flows", [3, 10_000])
def test_numpy_is_not_installed(flows: int) -> None:
    command = [sys.executable, "-c", WITHOUT_NUMPY, "build", "document", "--flows", str(flows), "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "labkit: --flows needs numpy: pip install 'labkit[fast]'\n"


def test_without_numpy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingError):
        build(scenario(), 3, BytesIO())
    assert run(["build", "document", "--flows", "3", "-o", "-"]) == 4
    assert capsys.readouterr().err == "labkit: --flows needs numpy: pip install 'labkit[fast]'\n"


@pytest.mark.parametrize(
    ("scenario", "flows", "message"),
    [
        ("http", "5", "5 flows: expected 1 to 100000000"),
        (5, 5, "cannot take a value of type int; expected a scenario"),
        (Scenario.load("http").play(), 5, "cannot take a value of type Trace; expected a scenario"),
    ],
)
def test_what_is_no_scenario_is_one_line(scenario, flows, message):
    with pytest.raises(UsageError, match=message):
        build(scenario, flows, BytesIO())


def test_a_dictionary_is_a_scenario_too():
    assert build({"name": "x", "steps": [{"client": "connect"}]}, 3, BytesIO()) == 9
