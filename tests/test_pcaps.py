"""The captures in `pcaps/`: the shipped scenarios byte for byte, and real ones with what is to be found in them."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier, verify
from labkit.build.scenario import Scenario, shipped
from labkit.capture import open_capture

PCAPS = Path(__file__).parents[1] / "pcaps"
REAL = PCAPS / "real"

FOUND: dict[str, set[tuple[str, int | None]]] = {
    "fin_retransmission.pcap": {("FIN01", 2), ("FL03", 2), ("HS03", 4)},
    "ip4-tcp-bad-chksum.pcap": {("CK02", 1)},
    "ip6-tcp-bad-chksum.pcap": {("CK02", 1)},
    "miss_end_data.pcap": {("SEQ01", 6)},
    "modbus-and-non-modbus-p502.pcap": {("RST03", 65), ("ECN03", 77)},
    "qi_internet_SYNACK_curl_jsonip.pcap": {("TS01", 5), ("SEQ01", 7), ("WIN02", 7), ("TS02", 8), ("RTX02", 9)},
    "payload-syn.pcap": {("TFO01", 1)},
    "rotation.pcap": {("ISN01", 3), ("ISN01", 4)},
    "rst-inject-rae.pcap": {("RST02", 2), ("FL07", 2)},
    "truncated-header.pcap": {("OPT01", 1)},
}
"""Warnings and errors by rule and packet; the captures that are not named have none."""

SEGMENTS = {"fragmented-syn.pcap": 1}
"""TCP segments, where not every packet is one: fragments make one together."""


@pytest.mark.parametrize("name", shipped())
def test_scenario_is_built_byte_for_byte(name: str) -> None:
    stream = BytesIO()
    Scenario.load(name).play(seed=0).write(stream, format="pcapng")
    kept = (PCAPS / f"{name}.pcapng").read_bytes()
    assert stream.getvalue() == kept, f"pcaps/{name}.pcapng is not what the scenario builds: run scripts/pcaps"


def test_no_capture_is_left_over() -> None:
    assert {path.stem for path in PCAPS.glob("*.pcapng")} == set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_scenario_breaks_no_rule(name: str) -> None:
    verdict = verify(PCAPS / f"{name}.pcapng")
    assert [finding for finding in verdict.findings if finding.severity > Severity.NOTE] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_scenario_breaks_no_rule_where_frames_are_cut(name: str) -> None:
    """A snap length hides options, by which much is judged. Of fragments that are cut nothing can be joined."""
    for length in (54, 60, 68, 74, 94, 128):
        with open_capture(PCAPS / f"{name}.pcapng") as capture:
            cut = [frame._replace(data=frame.data[:length]) for frame in capture]
        graver = [each for each in Verifier().run(cut).findings if each.severity > Severity.NOTE]
        assert [each for each in graver if "fragmented" not in name or each.code != "SEQ01"] == [], length


@pytest.mark.parametrize("name", shipped())
def test_scenario_never_fails_by_the_document(name: str) -> None:
    """A capture never fails only because the document has simplified."""
    verdict = verify(PCAPS / f"{name}.pcapng", "document")
    assert [finding for finding in verdict.findings if finding.severity == Severity.ERROR] == []


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", shipped())
def test_tshark_finds_nothing_malformed(name: str) -> None:
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command = ["tshark", "-n", *checks, "-r", str(PCAPS / f"{name}.pcapng")]
    bad = (
        '_ws.malformed || tcp.checksum.status == "Bad" || ip.checksum.status == "Bad" || _ws.expert.severity == "Error"'
    )
    ran = subprocess.run([*command, "-Y", bad], capture_output=True, text=True, check=True)
    assert ran.stdout == ""


@pytest.mark.parametrize("path", sorted(REAL.glob("*.pcap*")), ids=lambda path: path.name)
def test_real_capture(path: Path) -> None:
    verdict = verify(path)
    with open_capture(path) as capture:
        packets = sum(1 for _ in capture)
    assert verdict.packets == packets > 0
    assert verdict.segments == SEGMENTS.get(path.name, packets)
    grave = {(each.code, each.packet) for each in verdict.findings if each.severity > Severity.NOTE}
    assert grave == FOUND.get(path.name, set())


def test_real_captures_have_their_licence() -> None:
    text = (REAL / "README.md").read_text("utf-8")
    assert (REAL / "COPYING").is_file()
    for path in REAL.glob("*.pcap*"):
        assert f"`{path.name}`" in text
