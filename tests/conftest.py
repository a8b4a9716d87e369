"""Test setup: helper imports, markers by file, and Hypothesis profiles.

pytest puts this folder on the import path, so that tests in subfolders can import `helpers`, `frames` and `blocks`.
"""

import gc
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

TESTS = Path(__file__).parent

MARKED = {
    "live": "live",
    "analysis/native": "compiled",
    "build/bulk": "slow",
    "build/test_as_scapy.py": "slow",
    "build/test_script.py": "slow",
    "capture/test_capture_hostile.py": "slow",
    "capture/test_capture_oracles.py": "slow",
    "cli/test_hostile_folder.py": "slow",
    "cli/test_second_user.py": "slow",
    "cli/test_verify_many.py": "slow",
    "jobs": "slow",
    "packet/test_decode_corpus.py": "slow",
    "report/test_baseline.py": "slow",
    "report/test_draw.py": "slow",
    "report/test_pages.py": "slow",
    "report/test_pytest_plugin.py": "slow",
    "report/test_repair.py": "slow",
    "teach/assign": "slow",
    "teach/grade": "slow",
    "teach/platforms": "slow",
    "test_accuracy.py": "slow",
    "test_bench.py": "slow",
    "test_ci.py": "slow",
    "test_contributing.py": "slow",
    "test_fuzz.py": "slow",
    "test_mutation.py": "slow",
    "test_packaging.py": "slow",
}
"""The marker of every test in a folder or file. `scripts/test --quick` leaves out all three markers."""

# The tests read English, whatever language the machine speaks.
os.environ["LABKIT_LANG"] = "en"

# A shell starts its background jobs with SIGINT ignored, and their children inherit that: a test of Ctrl-C would wait
# forever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test asserts a time, so no example has a deadline. The default profile draws the same examples for the same commit;
# `scripts/test --hypothesis-profile=explore` draws new ones, and the quick lane draws fewer.
settings.register_profile("explore", deadline=None)
settings.register_profile("labkit", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("labkit"), max_examples=20)
settings.load_profile("labkit")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test as MARKED says, and every test that runs tshark as slow. What one worker runs whole comes first, so that
    no other waits for it at the end."""
    for item in items:
        path = item.path.relative_to(TESTS).as_posix()
        for place, mark in MARKED.items():
            if path == place or path.startswith(f"{place}/"):
                item.add_marker(mark)
        if any("tshark" in str(skip.kwargs.get("reason")) for skip in item.iter_markers("skipif")):
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    if config.getoption("loadgroup", False):
        name_groups(items)


def name_groups(items: list[pytest.Item]) -> None:
    """Put the group of each test into its id, where pytest-xdist looks for it.

    pytest-xdist 3.8.0 does so too, but pytest 9.2.0 keeps an id in parts and takes no notice: each worker would build the wheels.
    """
    with suppress(ImportError):
        from _pytest.nodeid import NodeId

        for item in items:
            group = item.get_closest_marker("xdist_group")
            if group is not None and "@" not in item.nodeid:
                item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")  # type: ignore[attr-defined]


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what the collected tests hold: it would go through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
