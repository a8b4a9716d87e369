"""Annotated captures: the copy keeps the packets and adds the findings as comments; tshark reads them."""

import gzip
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.finding import right_value
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier, verify
from labkit.capture import Frame, Interface, create, open_capture
from labkit.cli import run
from labkit.errors import CaptureError, UsageError
from labkit.report.annotate import annotate, comment
from labkit.report.formats import ReportOptions
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPTIONS = ReportOptions(Severity.ERROR)
OPEN = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
WRONG = OPEN + "< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"


def written(path: Path, text: str = WRONG) -> Path:
    with create(path, link=1) as writer:
        for frame in frames(list(parse(text))):
            writer.write(frame.time, frame.data, wirelen=frame.wirelen)
    return path


def read(path: Path) -> tuple[list[Frame], list[Interface], dict[str, str], list[str]]:
    with open_capture(path) as capture:
        found = list(capture)
    assert capture.damage is None
    return found, capture.interfaces, capture.names, capture.comments


@pytest.mark.parametrize("suffix", [".pcap", ".pcapng"])
def test_each_finding_is_a_comment_on_its_packet(tmp_path: Path, suffix: str) -> None:
    verdict = verify(written(tmp_path / f"a{suffix}"))
    count, _skipped = annotate(verdict, str(tmp_path / "out.pcapng"), OPTIONS)
    found, *_rest = read(tmp_path / "out.pcapng")
    assert [frame._replace(comments=()) for frame in found] == read(tmp_path / f"a{suffix}")[0]
    for finding in verdict.findings:
        at = 1 if finding.packet is None else finding.packet
        assert comment(finding) in found[at - 1].comments
    assert sum(len(frame.comments) for frame in found) == len(verdict.findings)
    assert count == sum(bool(frame.comments) for frame in found)


def test_a_comment_has_the_lines_of_a_finding(tmp_path: Path) -> None:
    verdict = verify(written(tmp_path / "a.pcap"))
    (error,) = [found for found in verdict.findings if found.code == "ACK01"]
    assert comment(error).splitlines() == [
        "labkit error ACK01 ack=7 expected=1",
        "ack-of-unsent-data",
        f"what: {error.message}",
        f"should be: {right_value(error)}",
        f"receiver: {error.receiver}",
        f"mend: {error.mend}",
        "read on: RFC 9293 3.10.7.4; labkit explain ACK01",
    ]


def test_raw_numbers_have_a_line_where_they_differ() -> None:
    frames_ = list(parse("> S 5000:5000(0)\n< S. 4294967295:4294967295(0) ack 5001\n> . 5001:5001(0) ack 7\n"))
    (found,) = [each for each in Verifier().run(list(frames(frames_))).findings if each.field == "ack"]
    first, _name, raw, *_rest = comment(found).splitlines()
    assert first == "labkit warning ACK01 ack=8 expected=1"
    assert raw == "raw: ack=7 expected=0"


def test_existing_comments_come_first_then_the_most_severe_finding(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    with create(path, link=1) as writer:
        for frame in frames(list(parse(WRONG))):
            writer.write(frame.time, frame.data, comments=["mine", "too"])
    verdict = verify(path)
    annotate(verdict, str(tmp_path / "out.pcapng"), OPTIONS)
    for frame in read(tmp_path / "out.pcapng")[0]:
        assert frame.comments[:2] == ("mine", "too")
        words = [each.split()[1] for each in frame.comments[2:]]
        assert words == sorted(words, key=["error", "warning", "note"].index)


def test_interfaces_names_and_comments_are_kept(tmp_path: Path) -> None:
    path, out = tmp_path / "a.pcapng", tmp_path / "out.pcapng"
    found = list(frames(list(parse(WRONG))))
    with create(
        path,
        link=1,
        comment="the first\nof May",
        names={"192.0.2.10": "client", "2001:db8::1": "six"},
        snaplen=900,
        interface_name="eth0",
        interface_description="a wire",
        fcs=4,
    ) as writer:
        raw = writer.add_interface(101, snaplen=77, name="tun0")
        for frame in found:
            writer.write(frame.time + 7, frame.data)
            writer.write(frame.time + 8, frame.data[14:], wirelen=9000, interface=raw)
    verdict = verify(path)
    annotate(verdict, str(out), OPTIONS)
    before, after = read(path), read(out)
    assert [frame._replace(comments=()) for frame in after[0]] == before[0]
    assert after[1:3] == before[1:3]
    assert after[1] == [Interface(1, 900, "eth0", "a wire", 4), Interface(101, 77, "tun0")]
    (summary,) = after[3]
    assert summary.startswith("the first\nof May\n\nlabkit ")
    assert ": FAIL  2 errors, " in summary
    assert str(tmp_path) not in summary


def test_several_sections_become_one(tmp_path: Path) -> None:
    written(tmp_path / "a.pcapng")
    octets = (tmp_path / "a.pcapng").read_bytes()
    (tmp_path / "two.pcapng").write_bytes(octets + octets)
    annotate(verify(tmp_path / "two.pcapng"), str(tmp_path / "out.pcapng"), OPTIONS)
    found, interfaces, *_rest = read(tmp_path / "out.pcapng")
    assert [frame.interface for frame in found] == [0] * 5 + [1] * 5
    assert len(interfaces) == 2


def test_a_frame_check_sequence_survives_in_a_pcap(tmp_path: Path) -> None:
    with create(tmp_path / "a.pcap", link=1, fcs=4) as writer:
        writer.write(0, b"x" * 64)
    assert read(tmp_path / "a.pcap")[1] == [Interface(1, 262_144, fcs=4)]
    annotate(verify(tmp_path / "a.pcap"), str(tmp_path / "out.pcapng"), OPTIONS)
    assert read(tmp_path / "out.pcapng")[1] == [Interface(1, 262_144, "interface 0", fcs=4)]


def test_an_empty_fcs_option_means_no_fcs(tmp_path: Path) -> None:
    with create(tmp_path / "a.pcapng", link=1, fcs=4) as writer:
        writer.write(0, b"x" * 64)
    octets = (tmp_path / "a.pcapng").read_bytes()
    option = b"\x0d\x00\x01\x00\x04\x00\x00\x00"
    assert option in octets
    # The same number of octets, as an empty FCS option and an unknown option.
    (tmp_path / "a.pcapng").write_bytes(octets.replace(option, b"\x0d\x00\x00\x00\xff\x7f\x00\x00"))
    assert read(tmp_path / "a.pcapng")[1][0].fcs == 0


def test_a_cut_capture_is_written_up_to_the_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcap")
    path.write_bytes(path.read_bytes()[:-10])
    annotate(verify(path), str(tmp_path / "out.pcapng"), OPTIONS)
    found, _interfaces, _names, (summary,) = read(tmp_path / "out.pcapng")
    assert len(found) == 4
    assert "the capture ends in the middle of packet 5" in summary
    assert "judged up to there" in summary


def test_a_compressed_capture_whose_wire_length_is_too_short(tmp_path: Path) -> None:
    octets = bytearray(written(tmp_path / "a.pcap").read_bytes())
    octets[24 + 12 : 24 + 16] = (1).to_bytes(4, "little")
    (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(bytes(octets), mtime=0))
    annotate(verify(tmp_path / "a.pcap.gz"), str(tmp_path / "out.pcapng"), OPTIONS)
    found, *_rest = read(tmp_path / "out.pcapng")
    assert (len(found), found[0].wirelen) == (5, len(found[0].data))


def test_a_capture_without_packets(tmp_path: Path) -> None:
    written(tmp_path / "a.pcapng", "> S 0:0(0)\n")
    head = (tmp_path / "a.pcapng").read_bytes()
    section = int.from_bytes(head[4:8], "little")
    (tmp_path / "a.pcapng").write_bytes(head[:section])
    assert annotate(verify(tmp_path / "a.pcapng"), str(tmp_path / "out.pcapng"), OPTIONS) == (0, set())
    assert read(tmp_path / "out.pcapng")[0] == []


def test_findings_of_undescribed_conversations_are_comments_on_the_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.analysis.limits.MAX_DESCRIBED", 0)
    verdict = verify(written(tmp_path / "a.pcap", OPEN))
    assert [found.packet for found in verdict.findings if found.code == "FIN06"] == [None]
    annotate(verdict, str(tmp_path / "out.pcapng"), OPTIONS)
    assert "labkit note FIN06\n" in read(tmp_path / "out.pcapng")[3][0]


@pytest.mark.parametrize("name", ["out.pcap", "out", "out.pcapng.gz"])
def test_only_a_pcapng_can_be_annotated(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is a pcapng file"):
        annotate(verify(written(tmp_path / "a.pcap")), str(tmp_path / name), OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


def test_the_capture_is_not_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcapng")
    (tmp_path / "link.pcapng").symlink_to(path)
    before = path.read_bytes()
    for target in (path, tmp_path / "link.pcapng"):
        with pytest.raises(UsageError, match="would overwrite the capture itself"):
            annotate(verify(path), str(target), OPTIONS)
    assert path.read_bytes() == before


def test_standard_input_cannot_be_annotated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input"):
        annotate(Verdict("-", "rfc9293"), str(tmp_path / "out.pcapng"), OPTIONS)


def test_a_failed_copy_leaves_the_old_file(tmp_path: Path) -> None:
    """The last packet is too long for a pcapng file that labkit writes."""
    path, out = tmp_path / "a.pcap", tmp_path / "out.pcapng"
    octets = written(path).read_bytes()
    long = 300_000
    head = octets[:16] + (1 << 20).to_bytes(4, "little") + octets[20:]
    path.write_bytes(head + bytes(8) + long.to_bytes(4, "little") * 2 + bytes(long))
    out.write_bytes(b"what was there before")
    verdict = verify(path)
    assert verdict.packets == 6
    with pytest.raises(CaptureError, match="exceeds"):
        annotate(verdict, str(out), OPTIONS)
    assert out.read_bytes() == b"what was there before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.pcap", "out.pcapng"]


def test_a_deleted_capture_cannot_be_annotated(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcap")
    verdict = verify(path)
    path.unlink()
    with pytest.raises(CaptureError, match="No such file"):
        annotate(verdict, str(tmp_path / "out.pcapng"), OPTIONS)
    assert list(tmp_path.iterdir()) == []


def test_findings_of_every_rule_can_be_written(tmp_path: Path) -> None:
    for rule in collect():
        found = list(frames(list(parse(rule.bad))))
        profile = "rfc9293" if "rfc9293" in rule.profiles else "document"
        for finding in Verifier(profile).run(found).findings:
            text = comment(finding)
            first, name = text.splitlines()[:2]
            assert re.fullmatch(
                rf"labkit {finding.severity} {finding.code}( [a-z_.]+=-?[0-9]+)?( expected=-?[0-9]+)?", first
            )
            assert name.startswith(finding.name)
            assert not re.search("{|None[^.]", text)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_comments(tmp_path: Path) -> None:
    verdict = verify(written(tmp_path / "a.pcap"))
    annotate(verdict, str(tmp_path / "out.pcapng"), OPTIONS)
    command = ["tshark", "-r", str(tmp_path / "out.pcapng"), "-Y", "frame.comment contains ACK01", "-T", "fields"]
    done = subprocess.run([*command, "-e", "frame.number"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4"]


def test_the_copy_tells_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A capture with decryption secrets (block 10) and a custom block behind its packets."""
    written(tmp_path / "a.pcapng", "> S 0:0(0)\n")
    with (tmp_path / "a.pcapng").open("ab") as out:
        for kind in (0x0A, 0x0BAD, 5):
            out.write(struct.pack("<II8sI", kind, 20, b"secret12", 20))
    assert run(["verify", str(tmp_path / "a.pcapng"), "--annotate", str(tmp_path / "b.pcapng")]) == 0
    assert "besides packets: custom blocks, decryption secrets\n" in capsys.readouterr().err
