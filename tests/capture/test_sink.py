"""Where captures are written to: whole files or none, streams, and what cannot be written."""

import errno
import io
import os
import signal
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from labkit.capture import create, open_capture, sink
from labkit.errors import CaptureError, UsageError


def fill(target, packets=1, **options):
    with create(target, link=1, **options) as capture:
        for number in range(packets):
            capture.write(number, b"data")
        return capture.format


def read(path):
    with open_capture(path) as capture:
        return list(capture)


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.pcap", "pcap"), ("a.CAP", "pcap"), ("b.pcap.pcapng", "pcapng"), ("a.ntar", "pcapng")],
)
def test_the_suffix_chooses_the_format(tmp_path, name, format_):
    assert fill(tmp_path / name) == format_
    with open_capture(tmp_path / name) as capture:
        assert capture.format == format_
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_named_format_goes_before_the_suffix(tmp_path):
    assert fill(tmp_path / "a.pcap", format="pcapng") == "pcapng"
    assert fill(tmp_path / "none", format="pcap") == "pcap"


@pytest.mark.parametrize("name", ["a", "a.txt", "a.pcap.gz", ".pcap"])
def test_an_unknown_suffix(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.pcap, \.cap, \.dmp, \.pcapng, \.ntar"):
        fill(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format():
    with pytest.raises(UsageError, match="unknown capture format erf; labkit knows pcap, pcapng"):
        fill(io.BytesIO(), format="erf")


def test_the_same_calls_give_the_same_octets():
    first, second = io.BytesIO(), io.BytesIO()
    fill(first)
    fill(second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize("mistake", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_capture_that_was_not_finished(tmp_path, mistake):
    with pytest.raises(mistake), create(tmp_path / "a.pcap", link=1) as capture:
        capture.write(0, b"data")
        raise mistake
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="no"), create(path, link=1) as capture:
        capture.write(0, b"data")
        assert path.read_bytes() == b"old"
        raise ValueError("no")
    assert path.read_bytes() == b"old"
    fill(path)
    assert len(read(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


DIES = """
import os, signal, sys
from labkit.capture import create
capture = create(sys.argv[1], link=1)
for number in range(100):
    capture.write(number, bytes(10_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_by_who_is_killed_while_writing(tmp_path):
    if sink._nameless(str(tmp_path / "a.pcap")) is None:
        pytest.skip("this system has no files without names")
    assert subprocess.run([sys.executable, "-c", DIES, tmp_path / "a.pcap"], check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lacking", ["files without names", "/proc"])
def test_where_each_file_has_a_name(tmp_path, monkeypatch, lacking):
    if lacking == "/proc":
        monkeypatch.setattr(sink, "DESCRIPTORS", str(tmp_path / "none"))
    else:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    with create(tmp_path / "a.pcap", link=1) as capture:
        capture.write(0, b"data")
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]
    create(tmp_path / "b.pcap", link=1).abort()
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


def test_two_captures_at_once_in_one_folder(tmp_path):
    with create(tmp_path / "a.pcap", link=1) as first, create(tmp_path / "b.pcap", link=1) as second:
        first.write(1, b"")
        second.write(2, b"")
    assert [read(tmp_path / name)[0].time for name in ("a.pcap", "b.pcap")] == [1, 2]


def test_close_and_abort_may_come_twice(tmp_path):
    for last in ("close", "abort"):
        capture = create(tmp_path / "a.pcap", link=1)
        capture.close()
        getattr(capture, last)()
    assert read(tmp_path / "a.pcap") == []


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions(tmp_path):
    path = tmp_path / "a.pcap"
    before = os.umask(0o027)
    try:
        fill(path)
        assert mode(path) == 0o640
        path.chmod(0o604)
        fill(path)
    finally:
        os.umask(before)
    assert mode(path) == 0o604


def test_a_link_is_followed(tmp_path):
    real = tmp_path / "folder"
    real.mkdir()
    link = tmp_path / "a.pcap"
    link.symlink_to(real / "b.pcap")
    fill(link)
    assert link.is_symlink()
    assert len(read(real / "b.pcap")) == 1


def test_what_is_no_regular_file_is_written_directly():
    assert fill("/dev/null", format="pcap") == "pcap"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116


def test_standard_output(monkeypatch):
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=stream))
    assert fill("-") == "pcapng"
    assert not stream.closed
    assert len(read(io.BytesIO(stream.getvalue()))) == 1


def test_closed_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(CaptureError, match="standard output: cannot be written: it is closed"):
        fill("-")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder.pcap", "folder.pcap: cannot be written: it is a directory"),
        ("missing/a.pcap", "missing/a.pcap: cannot be written: No such file or directory"),
        ("file/a.pcap", "file/a.pcap: cannot be written: Not a directory"),
        ("a\0.pcap", r"a\x00.pcap: cannot be written: its name has a null character"),
        (f"{'x' * 300}.pcap", f"{'x' * 300}.pcap: cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_written(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.pcap").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(CaptureError) as caught:
        fill(name)
    assert str(caught.value).startswith(reason)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_write_protected_file_stays(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(CaptureError, match="permission is missing"):
        fill(path)
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("packets", [1, 100_000])
def test_a_full_disk(packets):
    with pytest.raises(CaptureError, match="/dev/full: cannot be written: No space left"):
        fill("/dev/full", packets, format="pcap")


def test_a_pipe_that_nobody_reads():
    reading, writing = os.pipe()
    os.close(reading)
    stream = open(writing, "wb", buffering=0)  # noqa: PTH123, SIM115 - closed by what is tested below
    with stream, pytest.raises(BrokenPipeError) as caught:
        fill(stream)
    assert caught.value.errno == errno.EPIPE
