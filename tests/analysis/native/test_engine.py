"""The choice of an engine, its notices, and equal verdicts of both engines."""

import errno
import fcntl
import gzip
import io
import json
import mmap
import os
import signal
import subprocess
import sys
import termios
import time
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

pytest.importorskip("llvmlite", reason="llvmlite is not installed")

from labkit.analysis.catalogue import collect
from labkit.analysis.flows import Flow
from labkit.analysis.native import AUTO, COMPILED, ENGINES, INTERPRETED, engine, kernels, library, loader, pipeline
from labkit.analysis.native.packed import Library
from labkit.analysis.severity import RFC9293
from labkit.analysis.side import Side
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.capture import create, open_capture
from labkit.cli import run
from labkit.errors import UsageError
from labkit.packet.seen import Seen
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPEN = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
WRONG = OPEN + "< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"


def verify(path: Path, profile: str = RFC9293) -> Verdict:
    """The verdict of the interpreter."""
    return engine.verify(path, profile, engine=INTERPRETED)


def written(path: Path, conversations: int = 3, format_: str = "pcap") -> Path:
    with create(path, link=1, format=format_) as writer:
        for number in range(conversations):
            for frame in frames(list(parse(WRONG)), version=4 if number % 2 else 6):
                writer.write(frame.time + number * 10**9, frame.data)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return written(tmp_path / "small.pcap")


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that were used."""
    noted: list[str] = []

    def noting(name: str, what: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            noted.append(name)
            return what(*arguments, **named)

        return called

    monkeypatch.setattr(Verifier, "run", noting(INTERPRETED, Verifier.run))
    monkeypatch.setattr(pipeline, "run", noting(COMPILED, pipeline.run))
    return noted


# The size of a capture.


@pytest.mark.parametrize("format_", ["pcap", "pcapng"])
def test_the_size_of_a_capture_counts_uncompressed_octets(format_: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a", 50, format_)
    packed = tmp_path / "b"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    size = path.stat().st_size
    assert packed.stat().st_size < size // 2
    with open_capture(path) as capture:
        whole = list(capture)
    for source in (lambda: path, lambda: packed, lambda: io.BytesIO(path.read_bytes())):
        for least, is_so in ((size + 1, False), (size - 200, True), (0, True)):
            with open_capture(source()) as capture:
                assert [engine.is_large(capture, least) for _ in range(2)] == [is_so, is_so]
                assert list(capture) == whole
                assert capture.damage is None


# The choice of an engine.


@pytest.mark.parametrize(
    ("wish", "large", "built", "judges"),
    [
        (AUTO, False, True, INTERPRETED),
        (AUTO, True, True, COMPILED),
        (AUTO, True, False, INTERPRETED),
        (COMPILED, False, True, COMPILED),
        (COMPILED, False, False, COMPILED),
        (INTERPRETED, True, True, INTERPRETED),
    ],
)
def test_the_engine_follows_from_option_size_and_cache(
    wish: str,
    large: bool,
    built: bool,
    judges: str,
    small: Path,
    used: list[str],
    code: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for least in ("LARGE", "LARGE_FOR_PACKED"):
        monkeypatch.setattr(engine, least, 0 if large else 1 << 40)
    monkeypatch.setattr(library, "is_built", lambda: built)
    verdict = engine.verify(small, engine=wish)
    assert used == [judges]
    assert verdict == verify(small)


def test_a_very_large_capture_is_worth_compiling(
    small: Path, used: list[str], code: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LARGE", 0)
    monkeypatch.setattr(engine, "LARGE_FOR_PACKED", 0)
    monkeypatch.setattr(engine, "LARGE_ENOUGH_TO_COMPILE", 0)
    monkeypatch.setattr(library, "is_built", lambda: False)
    engine.verify(small)
    with open_capture(small) as capture:
        engine.verify_capture(capture, alone=False)
    assert used == [COMPILED, INTERPRETED]


@pytest.mark.parametrize("built", [True, False])
def test_the_size_of_a_pipe_is_not_awaited(
    built: bool, small: Path, used: list[str], code: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(engine, "is_large", lambda _capture, least: asked.append(least))
    monkeypatch.setattr(library, "is_built", lambda: built)
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as read, os.fdopen(ends[1], "wb") as write:
        write.write(small.read_bytes())
        write.close()
        assert engine.verify(read).packets == verify(small).packets
    assert used[0] == (COMPILED if built else INTERPRETED)
    assert asked == []


def test_a_function_that_chooses_conversations_is_not_compiled(small: Path, used: list[str], code: Library) -> None:
    def second(flow: Flow) -> bool:
        return flow.index == 1

    assert engine.verify(small, engine=AUTO, wanted=second) == engine.verify(small, engine=INTERPRETED, wanted=second)
    assert used == [INTERPRETED, INTERPRETED]
    with pytest.raises(UsageError, match="the compiled engine needs a FlowFilter"):
        engine.verify(small, engine=COMPILED, wanted=second)


@pytest.mark.parametrize("profile", ["rfc9293", "document"])
@pytest.mark.parametrize("alone", [False, True])
def test_verdicts_are_the_same(profile: str, alone: bool, small: Path, code: Library) -> None:
    with open_capture(small) as capture:
        verdict = engine.verify_capture(capture, profile, engine=COMPILED, alone=alone)
    verdict = replace(verdict, path=str(small))
    assert verdict == verify(small, profile)
    assert len(verdict.findings) > 2


def test_both_engines_report_damage(small: Path, code: Library) -> None:
    small.write_bytes(small.read_bytes()[:-1])
    verdict = engine.verify(small, engine=COMPILED)
    assert verdict.damage is not None
    assert verdict == verify(small)


def test_both_engines_refuse_an_unknown_profile(small: Path) -> None:
    for each in ENGINES:
        with pytest.raises(UsageError, match="there is no profile 'x'"):
            engine.verify(small, "x", engine=each)


def test_prepare_compiles_only_if_compiled_code_will_be_used(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setenv(loader.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(loader, "build", lambda _sources: b"")
    for wish, largest in ((INTERPRETED, 1 << 40), (AUTO, 1)):
        engine.prepare(wish, [largest], said.append, collect())
    assert said == []
    for wish, largest in ((COMPILED, 1), (AUTO, 1 << 40)):
        with pytest.raises(ValueError, match="not object code"):
            engine.prepare(wish, [largest], said.append, collect())
    assert said == ["compiling for this computer, once: about ten seconds"] * 2


def test_code_that_cannot_be_kept_is_compiled_once_per_process(
    small: Path, used: list[str], code: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = loader.place(library.NAME, library.files()).read_bytes()
    said: list[str] = []
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv(loader.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(loader, "build", lambda _sources: kept)
    for _ in range(2):
        with open_capture(small) as capture:
            engine.verify_capture(capture, engine=COMPILED, on_notice=said.append)
    (line,) = said
    assert line.startswith("compiling for this computer: about ten seconds, each time, because ")
    assert line.endswith(
        f"{tmp_path / 'cache'} cannot keep the code (it is not a folder); LABKIT_CACHE may name another folder"
    )
    assert used == [COMPILED, COMPILED]
    assert len(kept) < loader.ROOM


@pytest.mark.parametrize("module", ["llvmlite.binding"])
def test_without_a_package_the_interpreter_is_used(
    module: str, small: Path, used: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setenv(loader.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, module, None)
    with open_capture(small) as capture:
        engine.verify_capture(capture, engine=COMPILED, on_notice=said.append)
    name = module.partition(".")[0]
    assert used == [INTERPRETED]
    assert [line.partition(" is missing: interpreted")[0].partition(".")[0] for line in said if "missing" in line] == [
        name
    ]
    assert "labkit[fast]" in said[-1]


def test_a_rule_that_cannot_be_compiled_is_interpreted(
    small: Path, used: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_text(seg: Seen, me: Side, peer: Side) -> int:
        return f"{seg.seq}" == "19"

    said: list[str] = []
    rules = (*collect()[:-1], collect()[-1]._replace(predicate=with_text))
    monkeypatch.setenv(loader.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setattr(kernels, "shipped", lambda: rules)
    kernels.kernels.cache_clear()
    with open_capture(small) as capture:
        engine.verify_capture(capture, engine=COMPILED, on_notice=said.append)
    assert used == [INTERPRETED]
    assert said[-1].startswith(f"rule {rules[-1].code} ({rules[-1].name}) cannot be compiled: {__name__}:")
    assert said[-1].endswith(": interpreted, which takes longer")


@pytest.mark.parametrize("taken", [0, 5, 20])
def test_without_memory_the_interpreter_is_used(
    taken: int, small: Path, used: list[str], code: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever allocation fails."""
    maps, real, said = [0], mmap.mmap, list[str]()

    def refusing(*arguments: int, **named: int) -> mmap.mmap:
        maps[0] += 1
        if maps[0] > taken:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return real(*arguments, **named)

    monkeypatch.setattr(mmap, "mmap", refusing)
    with open_capture(small) as capture:
        verdict = engine.verify_capture(capture, engine=COMPILED, on_notice=said.append)
    verdict = replace(verdict, path=str(small))
    assert verdict == verify(small)
    assert used == [INTERPRETED, INTERPRETED]
    assert said == ["there is too little memory for compiled code: interpreted, which takes longer"]


# The command line.


def test_the_command_names_a_missing_package_once(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(loader.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert run(["verify", "--engine", "compiled", str(small), str(small)]) == 1
    assert capsys.readouterr().err == (
        "labkit: llvmlite is missing: interpreted, which takes longer; pip install 'labkit[fast]' has it\n"
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_output_of_the_command_is_the_same(
    jobs: str, small: Path, tmp_path: Path, code: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    other = written(tmp_path / "other.pcapng", 5, "pcapng")
    printed = []
    for each in (INTERPRETED, COMPILED):
        assert run(["verify", "--format", "json", "--jobs", jobs, "--engine", each, str(small), str(other)]) == 1
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]
    assert printed[0].err == ""


def labkit(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "labkit", *arguments]


def test_standard_input(small: Path, code: Library) -> None:
    octets = small.read_bytes()
    told = [
        subprocess.run(labkit("verify", "--engine", each, "-"), input=octets, capture_output=True, check=False)
        for each in (INTERPRETED, COMPILED)
    ]
    assert told[0].stdout == told[1].stdout
    assert [each.returncode for each in told] == [1, 1]


def test_packets_before_ctrl_c_are_verified(small: Path, code: Library) -> None:
    command = labkit("verify", "--engine", "compiled", "--format", "json", "-")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        octets = small.read_bytes()
        # The first part may be read to recognise the format, the second one only to verify it.
        for part in (octets[:-10], octets[-10:]):
            process.stdin.write(part)
            process.stdin.flush()
            wait_until(lambda: unread(process.stdin) == 0)
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        assert process.stdout is not None
        assert process.stderr is not None
        (capture,) = json.loads(process.stdout.read())["captures"]
        told = process.stderr.read().decode()
    packets = verify(small).packets
    assert process.returncode == 130
    assert (capture["packets"], capture["verdict"]) == (packets, "fail")
    assert told == (f"labkit: -: interrupted after packet {packets}; judged up to there\nlabkit: interrupted\n")


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the condition never became true")


def unread(pipe: IO[bytes] | None) -> int:
    """Octets in a pipe."""
    assert pipe is not None
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]
