"""The pytest plugin: fixtures that build, record and verify TCP, and captures as tests.

pytest loads it where labkit is installed; it imports nothing else of labkit before a test uses it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labkit.build.scenario import Scenario
    from labkit.build.scenario.code import ScenarioBuilder
    from labkit.build.trace import Trace
    from labkit.live.recording import Recording
    from labkit.report.expected import Expectation
    from labkit.report.verdict import Verdict

CAPTURES = ("*.pcap*", "*.cap", "*.cap.gz")
"""Names of files that --labkit-captures collects."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option and the setting."""
    group = parser.getgroup("labkit", "TCP captures (labkit)")
    group.addoption(
        "--labkit-captures",
        action="store_true",
        help="collect captures (*.pcap*) as tests: each passes labkit, or has the findings in NAME.labkit.toml and no others",
    )
    parser.addini("labkit_config", "a labkit.toml for assert_tcp and --labkit-captures, relative to the root directory")


class AssertTcp:
    """The fixture `assert_tcp`: verify packets, and fail with the report unless they pass."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._failures = 0

    def __call__(
        self, source: Any, *, expected: Sequence[Mapping[str, object]] | None = None, **options: Any
    ) -> "Verdict":
        """Verify `source` as `labkit.verify` does, with its options; return the verdict.

        With `expected`, the packets must have these findings and no others at or above `fail_on`: each is a mapping of some
        keys of a finding, such as {"code": "ACK01", "packet": 6}. If they differ, the test fails with the report, and a copy
        of the capture with its findings as comments is in `tmp_path`.
        """
        __tracebackhide__ = True
        from labkit.report.expected import check, differences
        from labkit.report.verdict import verify

        options.setdefault("config", _config_file(self._request.config))
        check(expected or ())
        verdict = verify(source, **options)
        lines = [] if expected is None else differences(verdict, expected)
        if lines or (expected is None and not verdict):
            pytest.fail("\n".join([*lines, verdict.text(), *self._keep(verdict)]), pytrace=False)
        return verdict

    def _keep(self, verdict: "Verdict") -> Iterator[str]:
        """Write the annotated capture, and yield the line that names it."""
        from labkit.errors import LabkitError
        from labkit.i18n import _

        if not any(each.severity >= verdict.fail_on for each in verdict.findings):
            return
        self._failures += 1
        path: Path = self._request.getfixturevalue("tmp_path") / f"labkit-{self._failures}.pcapng"
        try:
            verdict.annotate(path)
        except LabkitError as error:
            yield _("no annotated capture: {error}").format(error=error)
        else:
            yield _("annotated capture: {path}").format(path=path)


@pytest.fixture
def assert_tcp(request: pytest.FixtureRequest) -> AssertTcp:
    """Verify packets: `assert_tcp(capture_or_packets, ignore="KA")`; a failure shows labkit's report."""
    return AssertTcp(request)


@pytest.fixture
def labkit_trace() -> Callable[..., "Trace"]:
    """Build a conversation: `labkit_trace("document", seed=1, faults=["ack-goes-back@6"])` returns a labkit.Trace.

    The first argument is the name of a shipped scenario, a scenario file, a dictionary, a Scenario or its builder.
    """

    def play(
        scenario: "str | Path | Mapping[str, Any] | Scenario | ScenarioBuilder",
        seed: int = 0,
        faults: Sequence[str] = (),
    ) -> "Trace":
        from labkit.build.faults import inject
        from labkit.build.scenario import Scenario

        if isinstance(scenario, str | Path):
            scenario = Scenario.load(scenario)
        elif isinstance(scenario, Mapping):
            scenario = Scenario.from_dict(scenario)
        return inject(scenario.play(seed), faults)

    return play


@pytest.fixture
def labkit_capture() -> Callable[..., "Recording"]:
    """Record an interface: `with labkit_capture("lo") as frames: ...`, and then `assert_tcp(frames)`.

    The interface is one of the test's network namespace. It needs the capability CAP_NET_RAW.
    """
    from labkit.live.recording import Recording

    return Recording


# Captures as tests.


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "CaptureFile | None":
    """Collect a capture, if the user wants captures to be tests."""
    if not parent.config.getoption("labkit_captures") or file_path.name.endswith(".toml"):
        return None
    if not any(fnmatch(file_path.name.lower(), pattern) for pattern in CAPTURES):
        return None
    return CaptureFile.from_parent(parent, path=file_path)


class CaptureFile(pytest.File):
    """A capture."""

    def collect(self) -> "Iterator[CaptureItem]":
        """The one test of a capture."""
        yield CaptureItem.from_parent(self, name="tcp")


class CaptureItem(pytest.Item):
    """The test of a capture: it has the expected findings, and no others."""

    def runtest(self) -> None:
        """Verify the capture."""
        from labkit.report.expected import differences
        from labkit.report.verdict import verify

        wanted = self._expectation()
        verdict = verify(self.path, config=wanted.config)
        lines = differences(verdict, wanted.findings, wanted.outcome)
        if lines:
            raise CaptureFailedError("\n".join([*lines, verdict.text()]))

    def _expectation(self) -> "Expectation":
        from labkit.analysis.report_config import ReportConfig, load
        from labkit.report import expected

        file = self.path.with_name(self.path.name + expected.SUFFIX)
        if file.exists():
            return expected.load(file)
        config = _config_file(self.config)
        return expected.Expectation(ReportConfig() if config is None else load(config))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *arguments: Any, **options: Any) -> Any:
        """The report, or labkit's message, without a traceback."""
        from labkit.errors import LabkitError

        if isinstance(excinfo.value, CaptureFailedError | LabkitError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *arguments, **options)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the test is: the capture."""
        return self.path, None, f"{self.path.name}"


class CaptureFailedError(Exception):
    """A capture differs from what is expected of it."""


def _config_file(config: pytest.Config) -> Path | None:
    name = config.getini("labkit_config")
    return config.rootpath / name if name else None
