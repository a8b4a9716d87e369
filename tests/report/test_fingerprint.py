"""Tests of what each side looks like: built traffic of every stack, real kernels, and what nobody can know."""

import io
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.cli import run
from labkit.report import fingerprint
from labkit.report.fingerprint import Identified, identify
from labkit.tcp import stacks

STEPS = """steps:
- client: connect
- client: {send: 100}
- server: {send: {octets: 3000, after: 300ms}}
- client: close
- server: close
"""
KNOWN = [name for name in stacks.names() if name not in ("rfc", "minimal")]
CAPTURES = os.environ.get("LABKIT_CAPTURES", "")


def sides(client: str, server: str, more: str = "") -> tuple[Identified, Identified]:
    text = f"name: x\nclient: {{{client}}}\nserver: {{{server}}}\n{more}{STEPS}"
    (found,) = identify(Scenario.parse(text).play().file_frames())
    return found


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("server", KNOWN)
@pytest.mark.parametrize("client", KNOWN)
def test_each_stack_looks_like_itself(client: str, server: str, ipv6: bool) -> None:
    address = ', address: "2001:db8::1"' if ipv6 else ""
    found = sides(f"stack: {client}{address}", f"stack: {server}")
    for name, each in zip((client, server), found, strict=True):
        family = stacks.load(name).family
        # A SYN ACK has only what the SYN offered: without timestamps or from others, several systems may look alike.
        if name == client or client.startswith("linux"):
            assert each.family == family
            assert name in each.names
            assert len(each.evidence) >= 3
        assert each.family in (family, "unknown")


@pytest.mark.parametrize(
    "client",
    [
        "stack: rfc",
        "stack: minimal",
        "timestamps: true, window_scale: 7",
        "stack: linux-6.18, window_scale: off, timestamps: false",
    ],
)
def test_nothing_is_guessed(client: str) -> None:
    client_side, _server = sides(client, "stack: linux-6.18")
    assert (client_side.names, client_side.family) == ((), "unknown")
    assert client_side.against


def test_routers_on_the_path_do_not_matter() -> None:
    found = sides("stack: linux-6.18", "stack: linux-6.18", "path: {hops: 12}\ncapture: server\n")
    assert [each.family for each in found] == ["Linux", "Linux"]


def test_another_ttl_rules_a_stack_out() -> None:
    found, _server = sides("stack: linux-6.18, ttl: 128", "stack: linux-6.18")
    assert found.names == ()
    assert any("linux-6.18: TTL 128" in text for text in found.against)


def test_a_side_without_a_syn_is_unknown() -> None:
    frames = Scenario.parse(f"name: x\nclient: {{stack: linux-6.18}}\n{STEPS}").play().file_frames()
    ((client, server),) = identify(frames[1:])
    assert client.end.startswith("192.0.2.10:")
    assert (client.family, client.against) == ("unknown", ("the capture has no SYN of this side",))
    ((client, server),) = identify(frames[2:])
    assert client.family == server.family == "unknown"


def test_each_connection_of_a_port_is_a_conversation_of_its_own() -> None:
    frames = Scenario.load("port-reuse").play().file_frames()
    assert len(list(identify(frames))) == 2


def test_conversations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "MAX_CONVERSATIONS", 3)
    text = f"name: x\nclient: {{stack: linux-6.18}}\nconversations: {{count: 9}}\n{STEPS}"
    assert len(list(identify(Scenario.parse(text).play().file_frames()))) == 3


def test_the_lesson(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = f"name: x\nclient: {{stack: linux-6.18}}\nserver: {{stack: linux-6.18}}\n{STEPS}"
    Scenario.parse(text).play().write(tmp_path / "a.pcap")
    assert run(["explain", "stack", str(tmp_path / "a.pcap")]) == 0
    out = capsys.readouterr().out
    assert "Linux, most like linux-6.18" in out
    assert "window 64240 = 44 segments of 1460" in out
    assert out.endswith("sides: Linux 2\n")
    assert run(["explain", "stack"]) == 0
    assert all(name in capsys.readouterr().out for name in ("linux-6.18",))
    assert run(["explain", "stack", "a", "b"]) == 2
    assert "expected: labkit explain stack [CAPTURE]" in capsys.readouterr().err
    empty = io.BytesIO()
    Scenario.parse(text).play()[:0].write(empty, format="pcap")
    (tmp_path / "b.pcap").write_bytes(empty.getvalue())
    assert run(["explain", "stack", str(tmp_path / "b.pcap")]) == 2


def captured(folder: str) -> Iterator[tuple[Path, list[tuple[Identified, Identified]]]]:
    """The sides of each conversation in each capture of a folder."""
    for path in sorted(Path(CAPTURES).glob(f"{folder}/**/*.pcap*")):
        if path.stat().st_size <= 3 << 20:
            with open_capture(path) as capture:
                yield path, list(identify(capture))


@pytest.mark.slow
@pytest.mark.skipif(not CAPTURES, reason="LABKIT_CAPTURES names no folder of captures")
def test_real_kernels() -> None:
    """All hosts of these captures are Linux, but for 10.9.0.3, fd00::3 and the user-space ends of `uk_*`.

    docs/stacks.md has the figures.
    """
    sides: Counter[str] = Counter()
    conversations: Counter[bool] = Counter()
    for path, found in captured("kernel*"):
        for both in found:
            named = []
            for each in both:
                if path.name.startswith("uk_") or each.end.startswith(("10.9.0.3:", "[fd00::3]:")):
                    assert each.family == "unknown", (path.name, each)
                elif "no SYN" not in "".join(each.against[:1]):
                    assert each.family in ("Linux", "unknown"), (path.name, each)
                    sides[each.family] += 1
                    named.append(each.family == "Linux")
            if named:
                conversations[all(named)] += 1
    assert sides["Linux"] > 850
    assert sides["Linux"] >= 0.95 * sides.total()
    assert conversations[True] >= 0.95 * conversations.total()


@pytest.mark.slow
@pytest.mark.skipif(not CAPTURES, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.parametrize("folder", ["student", "cases"])
def test_scripts_and_first_stacks_have_no_name(folder: str) -> None:
    """Of what people wrote by hand, only a SYN that copies every habit of a system looks like it; no answer does."""
    genuine = ("10.9.0.1:", "10.9.0.2:")
    named = [
        (path.name, each.end)
        for path, found in captured(folder)
        for client, server in found
        for each in (client, server)
        if each.family != "unknown"
        and not each.end.startswith(genuine)
        and (each is server or "64240" not in f"{each}")
    ]
    assert named == []


LABELS = {"Linux": "Linux", "Windows": "Windows", "macOS": "Mac OS X", "FreeBSD": "FreeBSD"}
"""What p0f calls each system."""
P0F = re.compile(r"mod=syn(?:\+ack)?\|cli=([^|]+)\|srv=([^|]+)\|subj=(cli|srv)\|os=([^|]*)\|")


@pytest.mark.slow
@pytest.mark.skipif(not CAPTURES, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.skipif(shutil.which("p0f") is None, reason="the program 'p0f' is missing")
def test_p0f_names_no_other_system(tmp_path: Path) -> None:
    """Of hosts on the Internet nobody knows the truth; but no side has another name from p0f, if that has one."""
    agreed = 0
    for path, found in captured("real"):
        named = {each.end: each.family for both in found for each in both if each.family != "unknown"}
        if not named or path.suffix != ".pcap":
            continue
        log = tmp_path / "log"
        subprocess.run(["p0f", "-r", path, "-o", log], stdout=subprocess.DEVNULL, check=False, timeout=60)
        for client, server, subject, system in P0F.findall(log.read_text() if log.exists() else ""):
            address, _, port = (client if subject == "cli" else server).rpartition("/")
            family = named.get(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
            if family is not None and system != "???":
                assert system.startswith(LABELS[family]), (path.name, client, server, subject, family)
                agreed += 1
        log.unlink(missing_ok=True)
    assert agreed > 400
