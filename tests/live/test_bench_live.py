"""The relay's benchmark runs; its values depend on the machine."""

from pathlib import Path

import pytest
from support import needs_ip, needs_root

pytestmark = [needs_root, needs_ip]


def test_the_benchmark_reports_all_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts" / "lib"))
    import bench_live

    found = list(bench_live.figures(seconds=0.05, trips=20))
    assert [figure.unit for figure in found] == [*["Mbit/s", "packets/s", "µs", "µs"] * 2, "µs"]
    assert min(figure.value for figure in found) > 0
    # No packet arrives earlier than the path allows, however slow the machine is.
    assert found[-1].value >= 20_000
