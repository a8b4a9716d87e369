"""A real scheduler and two real workers on loopback, one of which is killed."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from shutil import which
from socket import create_server
from threading import Event
from time import monotonic, sleep
from typing import NamedTuple

import pytest

from labkit import __version__, verify
from labkit.build.scenario import Scenario
from labkit.cli import run
from labkit.errors import LabkitError, MissingError, UsageError
from labkit.jobs.batches import verdicts
from labkit.jobs.cluster import _check, _plain_data, _workers_watched, connected

ROOT = Path(__file__).parents[2]
LYING = Path(__file__).parent / "lying.py"


def test_without_dask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run(["verify", "a.pcap", "--cluster", "tcp://127.0.0.1:8786"]) == 4
    assert capsys.readouterr().err == "labkit: a cluster needs Dask: pip install 'labkit[cluster]'\n"


def test_a_cluster_excludes_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "a.pcap", "--cluster", "tcp://127.0.0.1:8786", "--jobs", "2"]) == 2
    assert "--cluster excludes --jobs" in capsys.readouterr().err


def test_an_invalid_address(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    assert run(["verify", "a.pcap", "--cluster", "localhost"]) == 2
    assert (
        capsys.readouterr().err == "labkit: localhost: not the address of a scheduler, such as tcp://192.0.2.1:8786\n"
    )


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("labkit.jobs.cluster.TIMEOUT", 0.2)
    assert run(["verify", "a.pcap", "--cluster", "tcp://127.0.0.1:1"]) == 4
    assert capsys.readouterr().err.startswith("labkit: tcp://127.0.0.1:1: no scheduler answers: ")


def test_an_address_without_tls_where_the_configuration_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(
        "distributed", reason="Dask is not installed"
    )  # before it has its defaults they cannot be changed
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.comm.require-encryption": True}):
        assert run(["verify", "a.pcap", "--cluster", "tcp://127.0.0.1:1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("labkit: tcp://127.0.0.1:1: ")
    assert "encryption" in line


def test_another_program_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("labkit.jobs.cluster.TIMEOUT", 0.2)
    with create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert run(["verify", "a.pcap", "--cluster", f"tcp://{address}"]) == 4
        assert capsys.readouterr().err == f"labkit: tcp://{address}: not a Dask scheduler\n"
        assert run(["verify", "a.pcap", "--cluster", f"tls://{address}"]) == 2
        assert capsys.readouterr().err.startswith(f"labkit: tls://{address}: TLS expects ")
        assert run(["verify", "a.pcap", "--cluster", f"http://{address}"]) == 2
        assert "not the address of a scheduler" in capsys.readouterr().err


def test_each_loss_of_the_last_worker_gives_one_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.jobs.cluster.TIMEOUT", 0.002)
    seen = iter([{"a": 1}, {}, {}, {"a": 1}, {"b": 1}, {}, {}])
    over = Event()

    class Client:
        def nthreads(self) -> dict[str, int]:
            try:
                return next(seen)
            except StopIteration:
                over.set()
                raise OSError from None

    said: list[str] = []
    with _workers_watched(Client(), "tcp://h:1", said.append):
        assert over.wait(60)
    assert said == ["tcp://h:1: no worker is left; waiting for a new one"] * 2


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (__version__, None, ""),
        (OSError("the worker has gone"), None, ""),
        (ImportError("No module named 'labkit'"), MissingError, "the worker tcp://w:2 has no labkit: No module named"),
        ("0.0.0", UsageError, f"the worker tcp://w:2 has labkit 0.0.0, not {__version__}: its verdicts could differ"),
    ],
)
def test_every_worker_must_have_the_same_labkit(found: object, error: type[LabkitError] | None, message: str) -> None:
    class Client:
        def run(self, function: Callable[[str], str], name: str, *, on_error: str) -> dict[str, object]:
            assert on_error == "return"
            return {"tcp://w:1": function(name), "tcp://w:2": found}

    with nullcontext() if error is None else pytest.raises(error, match=f"^tcp://h:1: {message}"):
        _check(Client(), "tcp://h:1")


class Cluster(NamedTuple):
    address: str
    workers: list[subprocess.Popen[bytes]]
    captures: Path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="Dask is not installed")
    folder = tmp_path_factory.mktemp("cluster")
    captures = folder / "captures"
    captures.mkdir()
    for seed in range(120):
        Scenario.load("lossy-both-sides").play(seed).write(captures / f"{seed:03}.pcapng", edition="student")
    note = folder / "scheduler.json"
    # The workers run in another folder, where relative paths lead nowhere.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    quiet = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(note)]
    scheduler = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
    processes = [scheduler]
    try:
        limit = monotonic() + 60
        while not (note.exists() and note.stat().st_size) and monotonic() < limit:
            sleep(0.05)
        address = json.loads(note.read_text())["address"]
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
        command += ["--no-dashboard", "--local-directory", str(folder)]
        workers = [subprocess.Popen(command, **quiet) for _ in range(2)]  # type: ignore[call-overload]
        processes += workers
        with connected(address) as there:
            there.executor._client.wait_for_workers(2, timeout=60)  # type: ignore[attr-defined]
        yield Cluster(address, workers, captures)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_the_command_says_the_same(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cluster.captures.parent)
    (cluster.captures / "bad.pcap").write_text("nonsense")
    arguments = ["verify", "captures", "missing.pcap", "--format", "json", "--port", "80"]
    results = []
    for more in (["--jobs", "1"], ["--cluster", cluster.address]):
        code = run([*arguments, *more])
        captured = capsys.readouterr()
        results.append((code, json.loads(captured.out), captured.err))
    (cluster.captures / "bad.pcap").unlink()
    assert results[0] == results[1]
    assert results[0][0] == 3
    assert len(results[0][1]["captures"]) == 122


def test_a_worker_is_not_a_scheduler(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    with connected(cluster.address) as there:
        worker = next(iter(there.executor._client.nthreads()))  # type: ignore[attr-defined]
    assert run(["verify", "a.pcap", "--cluster", worker]) == 4
    assert capsys.readouterr().err == f"labkit: {worker}: not a Dask scheduler\n"


def test_a_lost_worker_loses_no_verdict(cluster: Cluster) -> None:
    paths = sorted(map(str, cluster.captures.iterdir()))
    found = []
    with connected(cluster.address) as there:
        assert there.threads == 2
        client = there.executor._client  # type: ignore[attr-defined]
        for verdict in verdicts(paths, verify, there.executor, ahead=60, size=1, as_data=True):
            found.append(verdict)
            if len(found) == 10:
                held = client.processing()
                victim = cluster.workers[0]
                os.kill(victim.pid, signal.SIGKILL)
                victim.wait()
        assert all(len(tasks) > 1 for tasks in held.values())
        assert len(client.nthreads()) == 1
    assert [each.error for each in found if each.error] == []
    assert [(each.path, each.packets, each.findings) for each in found] == [
        (path, (expected := verify(path)).packets, expected.findings) for path in paths
    ]


class Liars(NamedTuple):
    address: str
    mark: Path
    folder: Path


@contextmanager
def started(folder: Path, scheduler: str, worker: str, *tls: str) -> Iterator[Liars]:
    """A scheduler without labkit and a worker, each of which lies in its way."""
    note, mark = folder / "scheduler.json", folder / "mark"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    quiet = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, str(LYING), "scheduler", scheduler, str(mark), "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(note), *tls]
    processes = [subprocess.Popen(command, **quiet)]  # type: ignore[call-overload]
    try:
        limit = monotonic() + 60
        while not (note.exists() and note.stat().st_size) and monotonic() < limit:
            sleep(0.05)
        address = json.loads(note.read_text())["address"]
        command = [sys.executable, str(LYING), "worker", worker, str(mark), address, "--no-nanny", "--nthreads", "1"]
        command += ["--no-dashboard", "--local-directory", str(folder), *tls]
        processes.append(subprocess.Popen(command, **quiet))  # type: ignore[call-overload]
        yield Liars(address, mark, folder)
    finally:
        for process in processes:
            process.kill()
            process.wait()


GONE = "the connection to the scheduler has ended"
NO_VERDICT = "the worker's answer is not a verdict: "


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "worker", "reason"),
    [
        ("-", "-", ""),
        ("handshake", "-", ""),
        ("identity", "-", ""),
        ("event", "-", ""),
        ("nonsense", "-", GONE),
        ("-", "print", ""),
        ("-", "pickle", NO_VERDICT + "exec where JSON was expected"),
        ("-", "exception", "RuntimeError: "),
        ("-", "text", NO_VERDICT + "Expecting property name"),
        ("-", "count", NO_VERDICT + "0 verdicts on 1 captures"),
    ],
)
def test_liars(
    scheduler: str, worker: str, reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], cluster: Cluster
) -> None:
    """None of their code runs here, nothing of theirs is printed as it is, and what is not a verdict costs exit code 3."""
    captures = [str(cluster.captures / f"{seed:03}.pcapng") for seed in range(2)]
    with started(tmp_path, scheduler, worker) as liars:
        code = run(["verify", *captures, "--format", "json", "--cluster", liars.address])
    out, err = capfd.readouterr()
    found = json.loads(out)["captures"]
    assert "\x1b" not in out + err
    assert not Path(f"{liars.mark}-{os.getpid()}").exists()
    if reason:
        assert code == 3
        assert [each["verdict"] for each in found] == ["unreadable"] * 2
        assert err.splitlines() and all(f"was not judged: {reason}" in line for line in err.splitlines())
    else:
        assert (code, err) == (run(["verify", *captures, "--format", "json"]), "")
        assert found == json.loads(capfd.readouterr().out)["captures"]


def test_pickles_are_data_while_a_cluster_is_connected(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    mark = tmp_path / "mark"
    evil = pickle.dumps(Evil(str(mark)))
    original = pickle.loads
    with _plain_data():
        assert isinstance(pickle.loads(evil), Exception)  # noqa: S301
        assert pickle.loads(pickle.dumps({"a": [1, (b"x", None, 2.5)]})) == {"a": [1, (b"x", None, 2.5)]}  # noqa: S301
        assert not mark.exists()
    assert pickle.loads is original
    pickle.loads(evil)  # noqa: S301
    assert mark.exists()


class Evil:
    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.place,)


@pytest.mark.slow
def test_tls(tmp_path: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the documentation."""
    if which("openssl") is None:
        pytest.skip("openssl is not installed")
    text = (ROOT / "docs/verifying.md").read_text("utf-8")
    commands = text.partition("```sh cluster\n")[2].partition("```")[0]
    made, _, rest = commands.partition("dask scheduler")
    assert "openssl" in made and "labkit verify" in rest
    subprocess.run(["sh", "-ec", made], cwd=tmp_path, check=True, capture_output=True)
    settings = dict(re.findall(r"^export (\w+)=(\S+)$", made, re.MULTILINE))
    keys = ["--tls-ca-file", "ca.pem", "--tls-cert", "cluster.pem", "--tls-key", "cluster-key.pem"]
    assert rest.count(" ".join(keys)) == 2
    capture = str(cluster.captures / "000.pcapng")
    with started(tmp_path, "-", "-", "--protocol", "tls", *keys) as there:
        assert there.address.startswith("tls://")
        assert subprocess.run([sys.executable, "-m", "labkit", "verify", capture, "--cluster", there.address],
                              cwd=tmp_path, capture_output=True).returncode == 2  # fmt: skip
        environment = {**os.environ, **settings}
        found = subprocess.run([sys.executable, "-m", "labkit", "verify", capture, "--cluster", there.address],
                               cwd=tmp_path, env=environment, capture_output=True, text=True)  # fmt: skip
        assert found.returncode == run(["verify", capture]), found.stderr
        # Without TLS the scheduler does not answer.
        plain = subprocess.run([sys.executable, "-m", "labkit", "verify", capture, "--cluster",
                                there.address.replace("tls", "tcp")], cwd=tmp_path, capture_output=True)  # fmt: skip
        assert plain.returncode == 4
    capsys.readouterr()
