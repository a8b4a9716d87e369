"""The loopback as a wire during a run, and its state after killed runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import TOP, needs_ip, needs_root

pytestmark = [needs_root, needs_ip]

SCENARIO = """
name: greet
path: {rtt: 2ms}
client: {address: %s}
steps:
  - client: connect
  - server: {send: 5}
  - server: close
  - client: close
"""
SERVER = (
    "import socket, sys; s = socket.create_server(('0.0.0.0', 80)); open('ready', 'w').close(); c, _ = s.accept(); "
    "c.sendall(b'hello'); c.close()"
)
ENVIRONMENT = os.environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en"}


def run_apart(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a new network namespace, so that the host's loopback does not change."""
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", f"ip link set lo up; {script}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=ENVIRONMENT,
    )


def test_a_server_on_the_loopback(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(SCENARIO % "192.0.2.10")
    done = run_apart(
        tmp_path,
        f'ip address > before; {sys.executable} -c "{SERVER}" & until [ -e ready ]; do sleep 0.02; done; '
        f"{sys.executable} -m labkit play greet.yaml --client --on lo --verify; code=$?; "
        "ip address | cmp - before && ip route && ip -6 route; exit $code",
    )
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
    assert "differ" not in done.stdout
    assert "192.0.2" not in done.stdout.partition("PASS")[2]


def test_a_killed_run_restores_the_loopback(tmp_path: Path) -> None:
    (tmp_path / "wait.yaml").write_text("name: wait\nsteps:\n- client: connect\n- server: {send: 5}\n")
    done = run_apart(
        tmp_path,
        f"ip address > before; {sys.executable} -m labkit play wait.yaml --server --on lo 2> log & run=$!; "
        "until grep -q waiting log; do sleep 0.02; done; ip route | grep -c 192.0.2.20; kill -9 $run; "
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do "
        "ip route | grep -q 192.0.2.20 || break; sleep 0.1; done; sleep 0.1; ip address | cmp - before && echo same",
    )
    assert done.stdout.split() == ["1", "same"], done.stderr


def test_the_loopback_of_a_router_is_refused(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(SCENARIO % "192.0.2.10")
    done = run_apart(
        tmp_path,
        f"echo 1 > /proc/sys/net/ipv4/ip_forward; {sys.executable} -m labkit play greet.yaml --client --on lo",
    )
    assert (done.returncode, "router" in done.stderr) == (4, True)


def test_ipv6_on_the_loopback_is_refused(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(SCENARIO % '"2001:db8::10"')
    done = run_apart(tmp_path, f"{sys.executable} -m labkit play greet.yaml --client --on lo")
    assert (done.returncode, "use a lab" in done.stderr) == (4, True)


def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "greet.yaml").write_text(SCENARIO % "192.0.2.10")
    done = run_apart(
        tmp_path, f"ip address add 192.0.2.10/32 dev lo; {sys.executable} -m labkit play greet.yaml --client --on lo"
    )
    assert (done.returncode, "this host already has the address" in done.stderr) == (4, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_its_capture(number: signal.Signals, tmp_path: Path) -> None:
    """An interrupted run writes its whole capture and resets the connection."""
    (tmp_path / "wait.yaml").write_text(
        "name: wait\npath: {rtt: 2ms}\nsteps:\n- client: connect\n- client: {send: 9}\n- server: {send: {octets: 5, after: 30s}}"
        "\n"
    )
    words = [
        sys.executable,
        "-m",
        "labkit",
        "play",
        "wait.yaml",
        "--client",
        "--peer",
        "kernel",
        "--capture",
        "c.pcapng",
    ]
    with subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "len=9" in line:
                break
        running.send_signal(number)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert "still open at the end" in errors
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["c.pcapng", "wait.yaml"]
