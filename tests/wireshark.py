"""Wireshark's daemon: display filters and fields of captures, many in one process."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labkit.teach.quiz.question import COUNT, LAST, SUM, Proof

needs_sharkd = pytest.mark.skipif(shutil.which("sharkd") is None, reason="sharkd, which comes with tshark, is missing")


@cache
def release() -> tuple[int, int]:
    """The version of tshark: 4.0 and 4.6 were tried. (0, 0) where there is none."""
    if shutil.which("tshark") is None:
        return 0, 0
    text = subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)\.\d+", text)
    assert found is not None
    return int(found[1]), int(found[2])


needs_wireshark_4_0 = pytest.mark.skipif(
    release() != (4, 0), reason="what Wireshark says was written down for 4.0, which is not installed"
)


class Sharkd:
    """A process of sharkd, which reads one capture at a time."""

    def __init__(self) -> None:
        self._loads = 0
        self._process = subprocess.Popen(
            ["sharkd", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def end(self) -> None:
        self._process.communicate()

    def _call(self, method: str, **values: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": values}) + "\n")
        self._process.stdin.flush()
        while not (line := self._process.stdout.readline().strip()):
            assert self._process.poll() is None
        answer = json.loads(line)
        assert "error" not in answer, (method, values, answer)
        return answer["result"]

    def load(self, capture: Path, *, relative: bool) -> None:
        """Read a capture, with relative sequence numbers or raw ones."""
        self._loads += 1
        self._call("setconf", name="tcp.relative_sequence_numbers", value=str(relative).upper())
        self._call("load", file=str(capture))

    def values(self, filter_: str, field: str) -> list[str]:
        """What a field shows in the packets that a filter selects, those without the field left out."""
        # sharkd 4.0 remembers what a filter has selected in the capture before: no filter may come twice.
        mine = f"({filter_}) && frame.number < {1_000_000 + self._loads}"
        rows = self._call("frames", filter=mine, column0=f"{field}:1")
        return [row["c"][0] for row in rows if row["c"][0]]

    def proved(self, proof: Proof) -> str:
        """The value that a proof gives."""
        values = self.values(proof.filter, proof.field)
        if proof.take == COUNT:
            return str(len(values))
        if proof.take == SUM:
            return str(sum(map(int, values)))
        return values[-1 if proof.take == LAST else 0] if values else ""
