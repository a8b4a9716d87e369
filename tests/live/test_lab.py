"""Labs are made, found, used and removed, even after their maker was killed."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from running import until
from support import TOP, as_nobody, labkit, needs_ip, needs_root

from labkit.cli import run
from labkit.errors import LinkError, UsageError
from labkit.live import ethtool, system
from labkit.live import lab as labs
from labkit.live.cleanup import CleanupProcess
from labkit.live.lab import Lab
from labkit.live.namespace import OWN, Namespace
from labkit.live.wiring import KERNELS

pytestmark = [needs_root, needs_ip]


@pytest.fixture
def name() -> Iterator[str]:
    """A lab name that no other test uses; the lab is removed afterwards."""
    chosen = f"t{os.getpid()}"
    yield chosen
    labs.down(chosen)


def names_of(name: str) -> list[str]:
    return sorted(path.name for path in labs.NAMES.glob(f"labkit-{name}-*")) if labs.NAMES.is_dir() else []


def greet(lab: Lab, version: int) -> bytes:
    """Connect the kernels of both ends and return what the client receives."""
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with lab.inside("server"):
        listening = socket.create_server((KERNELS["server"].address(version), 7), family=family)
    with lab.inside("client"):
        client = socket.socket(family)
    with listening, client:
        client.settimeout(10)
        client.connect(listening.getsockname())
        served, _ = listening.accept()
        with served:
            served.sendall(b"hello")
        return client.recv(10)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("offload", [False, True])
def test_the_kernels_of_the_ends_connect(version: int, offload: bool) -> None:
    with Lab.temporary(offload=offload) as lab:
        assert greet(lab, version) == b"hello"


def test_a_thread_returns_to_its_namespace() -> None:
    before = Path(OWN).stat().st_ino
    with Lab.temporary() as lab, lab.inside("client"):
        assert Path(OWN).stat().st_ino == lab.namespaces["client"].inode != before
        with pytest.raises(ZeroDivisionError), lab.inside("server"):
            assert Path(OWN).stat().st_ino == lab.namespaces["server"].inode
            raise ZeroDivisionError
        assert Path(OWN).stat().st_ino == lab.namespaces["client"].inode
    assert Path(OWN).stat().st_ino == before


def test_offloads_are_off_by_default() -> None:
    for offload in (False, True):
        with Lab.temporary(offload=offload) as lab:
            for end in ("client", "server"):
                with lab.inside(end):
                    assert ethtool.offloads_checksums(KERNELS[end].interface) is offload


def test_a_lab_without_a_relay_has_no_relay_end(lab: Lab) -> None:
    with pytest.raises(LinkError, match="no relay"), lab.inside("relay"):
        pass


def test_a_lab_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "capable", lambda: False)
    with pytest.raises(LinkError, match=r"CAP_NET_ADMIN.*labkit lab exec"):
        Lab.temporary()
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(LinkError, match="'ip' is missing; on Debian: apt install iproute2"):
        Lab.temporary()


class TestNames:
    """Labs with names, which stay."""

    def test_up_and_down(self, name: str) -> None:
        with labs.up(name) as made:
            assert greet(made, 4) == b"hello"
        assert names_of(name) == [f"labkit-{name}-client", f"labkit-{name}-server"]
        assert name in labs.recorded()
        with labs.find(name) as found:
            assert found.inodes == made.inodes
        assert labs.down(name) == (2, 0)
        assert labs.down(name) == (0, 0)
        assert names_of(name) == []
        with pytest.raises(LinkError, match="is not up"):
            labs.find(name)

    def test_up_refuses_a_name_that_is_in_use(self, name: str) -> None:
        labs.up(name).close()
        with pytest.raises(UsageError, match="is already up"):
            labs.up(name)
        assert len(names_of(name)) == 2

    def test_two_labs_are_separate(self, name: str) -> None:
        with labs.up(name) as one, Lab.temporary() as other:
            assert greet(one, 4) == greet(other, 4) == b"hello"
            with one.inside("server"):
                listening = socket.create_server(("192.0.2.2", 7))
            with other.inside("client"):
                client = socket.socket()
            with listening, client:
                client.settimeout(10)
                with pytest.raises(ConnectionRefusedError):
                    client.connect(("192.0.2.2", 7))

    @pytest.mark.parametrize("bad", ["", "A", "a b", "../x", "-x", "x" * 40])
    def test_malformed_lab_names_are_refused(self, bad: str) -> None:
        with pytest.raises(UsageError, match="not a lab name"):
            labs.up(bad)

    def test_down_ends_the_processes_of_the_lab(self, name: str) -> None:
        labs.up(name).close()
        with subprocess.Popen(
            [sys.executable, "-m", "labkit", "lab", "run", "--name", name, "server", "sleep", "1000"],
            env=os.environ | {"PYTHONPATH": str(TOP)},
        ) as running:
            with labs.find(name) as lab:
                assert until(lab.processes)
                assert lab.processes() == [running.pid]
            assert labs.down(name) == (2, 1)
            assert running.wait(10) == -signal.SIGTERM

    @pytest.mark.parametrize("step", ["record", "name", "empty"])
    def test_down_removes_the_rest_of_a_killed_run(self, name: str, step: str) -> None:
        labs.up(name).close()
        if step == "name":
            subprocess.run(["umount", str(labs.NAMES / f"labkit-{name}-server")], check=True)
        elif step == "record":
            for each in names_of(name):
                subprocess.run(["ip", "netns", "delete", each], check=True)
        else:
            for each in names_of(name):
                subprocess.run(["ip", "netns", "delete", each], check=True)
            (labs.RECORDS / f"labkit-{name}.json").write_text("")
        labs.down(name)
        assert (names_of(name), name in labs.recorded()) == ([], False)

    def test_an_incomplete_lab_is_not_found(self, name: str) -> None:
        labs.up(name).close()
        subprocess.run(["ip", "netns", "delete", f"labkit-{name}-client"], check=True)
        with pytest.raises(LinkError, match="is incomplete"):
            labs.find(name)

    @pytest.mark.parametrize("record", ["", "{", "[]", "3", '{"client": 3}'])
    def test_an_unreadable_record_is_an_error(self, name: str, record: str) -> None:
        labs.up(name).close()
        (labs.RECORDS / f"labkit-{name}.json").write_text(record)
        with pytest.raises(LinkError, match=r"is incomplete.*cannot be read.*labkit lab down"):
            labs.find(name)
        # Nothing says any more that labkit made them.
        with pytest.raises(LinkError, match=r"cannot be read|labkit did not make this"):
            labs.down(name)
        (labs.RECORDS / f"labkit-{name}.json").unlink(missing_ok=True)
        for each in names_of(name):
            subprocess.run(["ip", "netns", "delete", each], check=True)

    @pytest.mark.parametrize("recorded", ["nothing", "another boot", "another inode"])
    def test_a_namespace_of_someone_else_is_left_with_its_processes(self, name: str, recorded: str) -> None:
        record = labs.RECORDS / f"labkit-{name}.json"
        strangers = f"labkit-{name}-client"
        if recorded != "nothing":
            labs.up(name).close()
            found = json.loads(record.read_text())
            if recorded == "another boot":
                record.write_text(json.dumps(found | {"boot": "1"}))
            else:
                for each in names_of(name):
                    subprocess.run(["ip", "netns", "delete", each], check=True)
        if recorded != "another boot":
            subprocess.run(["ip", "netns", "add", strangers], check=True)
        with subprocess.Popen(["ip", "netns", "exec", strangers, "sleep", "1000"]) as running:
            try:
                inode = (labs.NAMES / strangers).stat().st_ino
                assert until(lambda: system.processes_in([inode]) == [running.pid])
                if recorded == "another inode":
                    with pytest.raises(LinkError, match="labkit did not make this namespace"):
                        labs.find(name)
                with pytest.raises(LinkError, match=f"{strangers}.*labkit did not make this"):
                    labs.down(name)
                with pytest.raises(UsageError, match="labkit did not make this"):
                    labs.up(name)
                assert (labs.NAMES / strangers).stat().st_ino == inode
                assert running.poll() is None
                assert name not in labs.recorded()
            finally:
                running.terminate()
        for each in names_of(name):
            subprocess.run(["ip", "netns", "delete", each], check=True)

    def test_down_says_which_namespace_it_leaves(self, name: str) -> None:
        labs.up(name).close()
        strangers = f"labkit-{name}-client"
        subprocess.run(["ip", "netns", "delete", strangers], check=True)
        subprocess.run(["ip", "netns", "add", strangers], check=True)
        try:
            with pytest.raises(LinkError, match=f"^{strangers}: labkit did not make this"):
                labs.down(name)
            assert names_of(name) == [strangers]
        finally:
            subprocess.run(["ip", "netns", "delete", strangers], check=True)

    def test_a_record_that_others_can_write_is_not_believed(self, name: str) -> None:
        labs.up(name).close()
        record = labs.RECORDS / f"labkit-{name}.json"
        record.chmod(0o666)
        with pytest.raises(LinkError, match="other users can write it"):
            labs.down(name)
        assert len(names_of(name)) == 2
        record.chmod(0o644)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_during_up_leaves_nothing(
        self, name: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("LANGUAGE", "en")
        monkeypatch.setattr("labkit.live.wiring.wire", lambda *_, **__: os.kill(os.getpid(), number))
        assert run(["lab", "up", "--name", name]) == 128 + number
        assert capsys.readouterr().err == "labkit: interrupted\n"
        assert (names_of(name), name in labs.recorded()) == ([], False)

    def test_a_failed_up_leaves_nothing(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise LinkError("no")

        monkeypatch.setattr("labkit.live.wiring.wire", fail)
        with pytest.raises(LinkError, match="no"):
            labs.up(name)
        assert (names_of(name), name in labs.recorded()) == ([], False)


class TestCommand:
    """`labkit lab`."""

    def test_lab_commands(self, name: str) -> None:
        assert labkit("lab", "status", "--name", name).returncode == 1
        done = labkit("lab", "up", "--name", name, "--relay")
        assert (done.returncode, done.stdout) == (0, "")
        assert "192.0.2.1" in done.stderr
        assert labkit("lab", "up", "--name", name).returncode == 2
        found = json.loads(labkit("lab", "status", "--name", name, "--format", "json").stdout)
        assert list(found["labs"][0]["ends"]) == ["client", "server", "relay"]
        assert "2001:db8::2" in labkit("lab", "status", "--name", name).stdout
        done = labkit("lab", "run", "--name", name, "client", "sh", "-c", "ip -br link; exit 5")
        assert ("labkit-client" in done.stdout, done.returncode) == (True, 5)
        done = labkit("lab", "shell", "--name", name, "server", input="ip -br addr\nexit 3\n")
        assert ("192.0.2.2" in done.stdout, done.returncode) == (True, 3)
        for words in (["run", "--name", name, "client"], ["exec", "--"]):
            done = labkit("lab", *words, "no-such-program")
            assert done.returncode == 4
            assert re.search("'no-such-program'.*: No such file or directory", done.stderr)
        assert labkit("lab", "down", "--name", name).returncode == 0
        assert labkit("lab", "down", "--name", name).returncode == 0
        assert labkit("lab", "run", "--name", name, "client", "true").returncode == 4

    def test_a_lab_for_one_command(self) -> None:
        words = f"{sys.executable} -m labkit lab run server ip -br addr; ip -br link; exit 9"
        done = labkit("lab", "exec", "--", "sh", "-c", words)
        assert ("192.0.2.2" in done.stdout, done.returncode) == (True, 9)
        # The lab has no other network.
        assert [line.split()[0] for line in done.stdout.splitlines()[-1:]] == ["lo"]

    def test_lab_exec_without_root(self) -> None:
        words = 'id -u; ip -br link; cd /; echo "$LABKIT_LAB"; exit 6'
        done = as_nobody("lab", "exec", "--relay", "--", "sh", "-c", words)
        if done.returncode == 4 and "only root can make a lab" in done.stderr:
            pytest.skip(done.stderr.strip())
        assert (done.returncode, done.stderr) == (6, "")
        assert '"relay": "/proc/' in done.stdout

    def test_lab_up_needs_root(self) -> None:
        done = as_nobody("lab", "up")
        assert (done.returncode, "labkit lab exec" in done.stderr) == (4, True)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_a_killed_run_leaves_nothing(self, number: int, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        words = f"sleep 1000 & echo $! $$ > {pids}.part; mv {pids}.part {pids}; wait"
        with subprocess.Popen(
            [sys.executable, "-m", "labkit", "lab", "exec", "--", "sh", "-c", words],
            env=os.environ | {"PYTHONPATH": str(TOP)},
            start_new_session=True,
        ) as running:
            assert until(pids.exists)
            processes = list(map(int, pids.read_text().split()))
            namespaces = {Path(f"/proc/{each}/ns/net").stat().st_ino for each in processes}
            if number == signal.SIGINT:
                os.killpg(running.pid, number)  # like a terminal
            else:
                running.send_signal(number)
            code = running.wait(10)
        assert until(lambda: not system.processes_in(namespaces))
        assert code == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[signal.Signals(number)]


def test_missing_kernel_features_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_veth(_lines: object) -> None:
        raise LinkError("ip: Error: Unknown device type.")

    monkeypatch.setattr("labkit.live.wiring.ip", no_veth)
    with pytest.raises(LinkError, match=r"no veth interfaces .*modprobe veth"):
        Lab.temporary()

    def no_namespaces(_flags: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("labkit.live.namespace.unshare", no_namespaces)
    with pytest.raises(LinkError, match="CONFIG_NET_NS"):
        Lab.temporary()


def test_a_cleanup_process_keeps_given_descriptors_open() -> None:
    for held in (True, False):
        reading, writing = os.pipe()
        with CleanupProcess(partial(os.write, writing, b"x"), [writing] if held else []):
            os.close(writing)
        assert os.read(reading, 2) == (b"x" if held else b"")
        os.close(reading)


def test_a_namespace_exists_while_it_is_open() -> None:
    with Namespace.new() as one, Namespace.new() as other:
        assert one.inode != other.inode
        with Namespace.at(one.path) as same:
            assert same.inode == one.inode
    one.close()
    with pytest.raises(OSError, match="No such file"):
        Namespace.at("/nowhere")
