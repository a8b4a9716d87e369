"""Both engines agree on more conversations than a capture of a class has, and up to where a limit ends one of them."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from labkit.build.bulk import build
from labkit.cli import run

CONVERSATIONS = 20_000


def verdict(path: Path, engine: str, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    run(["verify", str(path), "--engine", engine, "--format", "json", *words])
    (found,) = json.loads(capsys.readouterr().out)["captures"]
    return {key: value for key, value in found.items() if key != "path"}


def first(octets: bytes, packets: int) -> bytes:
    """The first packets of a pcap file."""
    at = 24
    for _packet in range(packets):
        at += 16 + struct.unpack_from("<I", octets, at + 8)[0]
    return octets[:at]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_open_conversations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pcap"
    build("handshake", CONVERSATIONS, str(path), seed=1, format="pcap")
    whole = verdict(path, "compiled", capsys)
    assert (whole["flows"], len(whole["findings"])) == (CONVERSATIONS, CONVERSATIONS)
    assert verdict(path, "interpreted", capsys) == whole
    # Where a budget ends the reading, what the interpreter judged is what the compiled engine says of the packets up to there.
    part = verdict(path, "interpreted", capsys, "--max-bytes", "1MB")
    assert 0 < part["up_to"] < whole["packets"]
    (tmp_path / "b.pcap").write_bytes(first(path.read_bytes(), part["up_to"]))
    same = verdict(tmp_path / "b.pcap", "compiled", capsys)
    assert (part["findings"], part["conversations"]) == (same["findings"], same["conversations"])
    assert "size" in {each["kind"] for each in part["limits"]} - {each["kind"] for each in same["limits"]}
