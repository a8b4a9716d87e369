"""labkit: writes TCP conversations as real packets, and judges captures of them.

    from labkit import Scenario, verify

    trace = Scenario.load("document").play(seed=1)
    assert verify(trace)

`docs/api.md` explains every name below. Each loads on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labkit import compiled

if TYPE_CHECKING:
    from labkit.analysis.catalogue import collect as rules
    from labkit.analysis.finding import Finding
    from labkit.analysis.flow_filter import FlowFilter
    from labkit.analysis.limits import Limit
    from labkit.analysis.report_config import ReportConfig
    from labkit.analysis.rule import Rule
    from labkit.analysis.severity import Severity
    from labkit.build.bulk import build as write_flows
    from labkit.build.faults import inject
    from labkit.build.path import Direction, Path
    from labkit.build.scenario import Scenario
    from labkit.build.trace import Trace
    from labkit.capture import Frame, open_capture
    from labkit.capture import create as create_capture
    from labkit.errors import (
        CaptureError,
        InputError,
        LabkitError,
        LinkError,
        MissingError,
        ScenarioError,
        UsageError,
        VerdictError,
    )
    from labkit.report.draw import draw
    from labkit.report.verdict import Verdict, verify
    from labkit.tcp.endpoint import Config, Endpoint
    from labkit.tcp.segment import Segment

__version__ = "0.1.0"

compiled.install()

_HOMES = {
    "CaptureError": "errors",
    "Config": "tcp.endpoint",
    "Direction": "build.path",
    "Endpoint": "tcp.endpoint",
    "Finding": "analysis.finding",
    "FlowFilter": "analysis.flow_filter",
    "Frame": "capture",
    "InputError": "errors",
    "LabkitError": "errors",
    "Limit": "analysis.limits",
    "LinkError": "errors",
    "MissingError": "errors",
    "Path": "build.path",
    "ReportConfig": "analysis.report_config",
    "Rule": "analysis.rule",
    "Scenario": "build.scenario",
    "ScenarioError": "errors",
    "Segment": "tcp.segment",
    "Severity": "analysis.severity",
    "Trace": "build.trace",
    "UsageError": "errors",
    "Verdict": "report.verdict",
    "VerdictError": "errors",
    "create_capture": "capture:create",
    "draw": "report.draw",
    "inject": "build.faults",
    "open_capture": "capture",
    "rules": "analysis.catalogue:collect",
    "verify": "report.verdict",
    "write_flows": "build.bulk:build",
}
"""The module of each public name, with its name there if that is another one."""

__all__ = [
    "CaptureError",
    "Config",
    "Direction",
    "Endpoint",
    "Finding",
    "FlowFilter",
    "Frame",
    "InputError",
    "LabkitError",
    "Limit",
    "LinkError",
    "MissingError",
    "Path",
    "ReportConfig",
    "Rule",
    "Scenario",
    "ScenarioError",
    "Segment",
    "Severity",
    "Trace",
    "UsageError",
    "Verdict",
    "VerdictError",
    "__version__",
    "create_capture",
    "draw",
    "inject",
    "open_capture",
    "rules",
    "verify",
    "write_flows",
]


if not TYPE_CHECKING:  # a type checker would take every misspelt name for one that exists

    def __getattr__(name: str) -> Any:
        """Load a public name from its module when it is first asked for (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, other = _HOMES[name].partition(":")
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), other or name)
        return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
