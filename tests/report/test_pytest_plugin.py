"""The pytest plugin, run by pytest itself: the one of this test run, and the oldest that labkit supports."""

import io
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from labkit import Scenario, Trace, inject
from labkit.live.system import capable

TOP = Path(__file__).parents[2]
OLDEST = TOP / ".venv" / "oldest"

needs_root = pytest.mark.skipif(not capable(), reason="recording an interface needs the capabilities of root")


@pytest.fixture(
    params=[
        "this pytest",
        pytest.param(
            "the oldest pytest",
            marks=pytest.mark.skipif(not OLDEST.exists(), reason="scripts/test installs the oldest packages in .venv"),
        ),
    ]
)
def run(request: pytest.FixtureRequest, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> "Run":
    """Run pytest with the plugin in an empty folder, with no other plugin."""
    folders = [str(OLDEST)] if request.param != "this pytest" else []
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*folders, str(TOP)]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("LANGUAGE", "en")
    for name in (
        "PYTEST_ADDOPTS",
        "CI",
        "BUILD_NUMBER",
    ):  # with the last two, pytest repeats whole reports in its summary
        monkeypatch.delenv(name, raising=False)
    return Run(pytester, request.param == "this pytest")


class Run:
    """Runs pytest as a program of its own."""

    def __init__(self, pytester: pytest.Pytester, newest: bool) -> None:
        self.folder = pytester.path
        self.newest = newest
        self._pytester = pytester

    def __call__(self, *arguments: str, **outcomes: int) -> str:
        """The output of pytest; its tests must have these outcomes."""
        done = self._pytester.run(
            sys.executable, "-m", "pytest", "-p", "labkit", "-p", "no:cacheprovider", "-ra", *arguments, timeout=60
        )
        text = done.stdout.str() + done.stderr.str()
        assert {name: n for name, n in done.parseoutcomes().items() if name != "warnings"} == outcomes, text
        return text

    def test(self, source: str, *arguments: str, **outcomes: int) -> str:
        """Write a module of tests, and run it."""
        self._pytester.makepyfile(source)
        return self(*arguments, **outcomes)


def written(trace: Trace, format_: str) -> bytes:
    octets = io.BytesIO()
    trace.write(octets, format=format_)
    return octets.getvalue()


# Made before any test: after a test with pytester, pytest forgets the modules that were imported meanwhile.
TRACE = Scenario.load("document").play(seed=1)
GOOD, BAD = written(TRACE, "pcap"), written(inject(TRACE, ["ack-of-unsent-data@6"]), "pcapng")


def captures(folder: Path) -> None:
    """A good and a faulty capture."""
    (folder / "good.pcap").write_bytes(GOOD)
    (folder / "bad.pcapng").write_bytes(BAD)


def test_the_plugin_is_an_entry_point() -> None:
    (found,) = entry_points(group="pytest11", name="labkit")
    assert found.value == "labkit.report.pytest_plugin"


def test_it_is_the_version_that_it_should_be(run: Run) -> None:
    text = run.test("import pytest\ndef test_version(): assert pytest.__version__ == '0'", failed=1)
    version = re.search(r"assert '([\d.]+)' == '0'", text)
    assert version
    assert (version[1] == pytest.__version__) is run.newest


def test_it_imports_nothing_of_labkit_before_it_is_used(run: Run) -> None:
    run.test(
        """
        import sys

        def test_nothing(request):
            request.getfixturevalue("assert_tcp")
            request.getfixturevalue("labkit_trace")
            ours = {name for name in sys.modules if name.partition(".")[0] == "labkit"}
            assert ours == {"labkit", "labkit.compiled", "labkit.report", "labkit.report.pytest_plugin"}
            assert not {"scapy", "pydantic", "numpy"} & set(sys.modules)
        """,
        passed=1,
    )


def test_what_is_right_passes(run: Run) -> None:
    captures(run.folder)
    run.test(
        """
        import labkit
        import scapy.layers.inet
        from scapy.utils import rdpcap

        def test_files(assert_tcp):
            verdict = assert_tcp("good.pcap")
            assert isinstance(verdict, labkit.Verdict)
            assert_tcp("bad.pcapng", ignore="ACK,SEQ")
            assert_tcp("bad.pcapng", expected=[{"code": "ACK01", "packet": 6, "actual_relative": 1120}])

        def test_packets(assert_tcp):
            assert_tcp(rdpcap("good.pcap"), fail_on="warning")

        def test_traces(assert_tcp, labkit_trace):
            trace = assert_tcp(labkit_trace("document", seed=3))
            assert_tcp(labkit_trace("document", faults=["ack-of-unsent-data@6"]), expected=[{"code": "ACK01"}])
            assert_tcp(labkit_trace({"name": "x", "steps": [{"client": "connect"}]}))
            assert_tcp(labkit_trace(labkit.Scenario.build("x").client.connect()))
            assert_tcp(labkit_trace(labkit.Scenario.load("http")))

        def test_no_file_is_left(assert_tcp, tmp_path):
            assert_tcp("good.pcap")
            assert list(tmp_path.iterdir()) == []
        """,
        passed=4,
    )


def test_what_is_wrong_fails_with_the_report_and_an_annotated_capture(run: Run) -> None:
    captures(run.folder)
    text = run.test(
        """
        def test_file(assert_tcp, tmp_path):
            assert_tcp("bad.pcapng")

        def test_trace(assert_tcp, labkit_trace):
            assert_tcp(labkit_trace("document", faults=["ack-of-unsent-data@6"]))

        def test_empty(assert_tcp):
            assert_tcp([])

        def test_expected(assert_tcp):
            assert_tcp("bad.pcapng", expected=[{"code": "ACK01", "packet": 7}, {"code": "FIN01"}])

        def test_wrong_key(assert_tcp):
            assert_tcp("bad.pcapng", expected=[{"cod": "ACK01"}])
        """,
        f"--basetemp={run.folder / 'kept'}",
        failed=5,
    )
    assert "bad.pcapng: FAIL  1 error (10 packets, 1 conversation, profile rfc9293)" in text
    assert "error[ACK01] ack-of-unsent-data: packet 6, 192.0.2.10:40000 → 192.0.2.20:80" in text
    assert "  >     6  → ACK      seq=100 ack=1120" in text
    assert "document: FAIL  1 error" in text
    assert "NOT JUDGED" in text
    assert "expected, but not found: code = 'ACK01', packet = 7" in text
    assert "expected, but not found: code = 'FIN01'" in text
    assert "found, but not expected: ACK01: packet 6, " in text
    assert "a finding has no key 'cod'; did you mean 'code'?" in text
    kept = [Path(each) for each in re.findall(r"annotated capture: (\S+)", text)]
    assert len(kept) == 3
    for each in kept:
        assert b"ack 1120 acknowledges bytes that the peer has not sent" in each.read_bytes()


def test_captures_are_tests_if_wanted(run: Run) -> None:
    captures(run.folder)
    run("--labkit-captures", "good.pcap", passed=1)
    text = run("--labkit-captures", "-v", passed=1, failed=1)
    assert "bad.pcapng::tcp FAILED" in text
    assert "good.pcap::tcp PASSED" in text
    assert "found, but not expected: ACK01: packet 6, " in text
    assert "Traceback" not in text
    assert "pytest_plugin.py" not in text


EXPECTED = {
    '[[finding]]\ncode = "ACK01"\npacket = 6\n': "",
    'verdict = "fail"\n[[finding]]\nname = "ack-of-unsent-data"\n': "",
    'ignore = ["ACK", "SEQ"]\n': "",
    'severity = {ACK01 = "warning"}\n': "",
    'verdict = "pass"\n[[finding]]\ncode = "ACK01"\n': "the verdict is fail, not pass",
    '[[finding]]\ncode = "ACK01"\n[[finding]]\ncode = "ACK01"\n': "expected, but not found: code = 'ACK01'",
    "": "found, but not expected: ACK01: packet 6, ",
    "finding = 5": "bad.pcapng.labkit.toml: finding: must be tables, each below a line [[finding]]",
    "[[finding]]\n": "finding: a finding without keys would fit any other; expected at least its code",
    '[[finding]]\npakket = 6\n': "bad.pcapng.labkit.toml: finding: a finding has no key 'pakket'; did you mean 'packet'?",
    'verdict = "maybe"\n': "verdict: must be one of pass, fail, not-judged, unreadable, not 'maybe'",
    'ignroe = ["ACK"]\n': "bad.pcapng.labkit.toml: there is no key 'ignroe'; did you mean 'ignore'?",
    "nonsense": "bad.pcapng.labkit.toml: not a TOML file: ",
}  # fmt: skip
"""Files of expected findings, and what pytest says; empty: the test passes."""


def test_a_file_says_what_a_capture_must_have(run: Run) -> None:
    for number, text in enumerate(EXPECTED):
        (run.folder / f"{number}.pcapng").write_bytes(BAD)
        (run.folder / f"{number}.pcapng.labkit.toml").write_text(text)
    failed = sum(map(bool, EXPECTED.values()))
    printed = run("--labkit-captures", failed=failed, passed=len(EXPECTED) - failed)
    assert "Traceback" not in printed
    reports = dict(re.findall(r"^_+ (\d+)\.pcapng _+\n(.*?)(?=^[_=]{5})", printed, re.MULTILINE | re.DOTALL))
    for number, (text, said) in enumerate(EXPECTED.items()):
        if said:
            assert said.replace("bad.pcapng", f"{number}.pcapng") in reports[str(number)], text
        else:
            assert str(number) not in reports, text


def test_captures_that_were_not_judged(run: Run) -> None:
    (run.folder / "empty.pcap").write_bytes(bytes.fromhex("d4c3b2a1 02000400 00000000 00000000 00000400 01000000"))
    (run.folder / "junk.pcap.gz").write_bytes(b"junk")
    text = run("--labkit-captures", failed=2)
    assert "the verdict is not-judged, not pass" in text
    assert "not a capture: it begins with" in text
    (run.folder / "empty.pcap.labkit.toml").write_text('verdict = "not-judged"')
    run("--labkit-captures", passed=1, failed=1)


def test_the_configuration_of_a_project(run: Run) -> None:
    captures(run.folder)
    (run.folder / "tests.toml").write_text('ignore = ["ACK", "SEQ"]\n')
    (run.folder / "pytest.ini").write_text("[pytest]\nlabkit_config = tests.toml\n")
    run.test(
        "def test_it(assert_tcp): assert_tcp('bad.pcapng')\n"
        "def test_own(assert_tcp): assert_tcp('bad.pcapng', ignore='KA')\n",
        "--labkit-captures",
        passed=3,
        failed=1,
    )


@needs_root
@pytest.mark.live
def test_a_recording_holds_the_whole_conversation(run: Run) -> None:
    run.test(
        """
        import socket, threading

        def talk():
            with socket.create_server(("127.0.0.1", 0)) as server:
                def serve():
                    peer, _ = server.accept()
                    with peer:
                        peer.sendall(peer.recv(100) * 1000)
                thread = threading.Thread(target=serve)
                thread.start()
                with socket.create_connection(server.getsockname()) as client:
                    client.sendall(b"hello")
                    while client.recv(65536):
                        pass
                thread.join()
                return server.getsockname()[1]

        def test_it(assert_tcp, labkit_capture):
            import labkit
            with labkit_capture("lo") as frames:
                port = talk()
            verdict = assert_tcp(frames, flow_filter=labkit.FlowFilter(ports=(port,)))
            (conversation,) = verdict.conversations
            assert (conversation.opened, conversation.closed) == ("handshake", "fin")
            assert sorted(conversation.octets) == [5, 5000]

        def test_an_error_in_the_block_is_the_error(labkit_capture):
            with labkit_capture("lo"):
                1 / 0

        def test_no_such_interface(labkit_capture):
            with labkit_capture("nonsense0"):
                pass
        """,
        passed=1,
        failed=2,
    )


def test_the_names_of_the_fixtures_are_explained(run: Run) -> None:
    text = run("--fixtures", "-q")
    for name in ("assert_tcp", "labkit_trace", "labkit_capture"):
        assert re.search(rf"^{name}\b.*\n    \w", text, re.MULTILINE), text


def test_installed_it_loads_by_itself(tmp_path: Path) -> None:
    captures(tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--labkit-captures",
            "good.pcap",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
