"""Trials of a kernel on random paths: what is drawn is valid, and labkit finds no error in what the kernel sends."""

import shutil
import sys
from pathlib import Path

import pytest
from support import TOP, needs_ip, needs_root

from labkit.build.scenario import Scenario

sys.path.insert(0, str(TOP / "scripts/lib"))
try:
    import kernel_paths
    from kernel_paths_program import Program
finally:
    sys.path.pop(0)

needs_tcpdump = pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")


@pytest.mark.parametrize("seed", range(0, 200, 5))
def test_a_trial_has_a_valid_path_and_one_plan_for_both_programs(seed: int) -> None:
    drawn = kernel_paths.trial(seed)
    assert drawn == kernel_paths.trial(seed)
    assert Scenario.parse(kernel_paths.scenario(drawn)).name == f"trial-{seed}"
    client, server = (Program(side, seed, drawn.version) for side in ("client", "server"))
    assert client.plans == server.plans != []


def test_trials_differ() -> None:
    assert len({kernel_paths.scenario(kernel_paths.trial(seed)) for seed in range(50)}) > 40


@needs_root
@needs_ip
@needs_tcpdump
def test_a_kernel_makes_no_error(tmp_path: Path) -> None:
    judged = kernel_paths.Judged()
    judged.add(kernel_paths.play(kernel_paths.trial(6), "paths-test", tmp_path))
    assert judged.captures == 2
    assert judged.packets > 20
    assert judged.errors == 0


def test_errors_are_counted_with_their_places(tmp_path: Path) -> None:
    """A capture in which a kernel's numbers were changed."""
    capture = tmp_path / "7-client.pcap"
    Scenario.load("document").play(seed=0).edit(5, ack=+10).write(capture)
    judged = kernel_paths.Judged()
    judged.add([capture])
    assert (judged.captures, judged.packets) == (1, 10)
    assert judged.errors > 0
    assert any("7-client.pcap: packet 5" in places for places in judged.found.values())
