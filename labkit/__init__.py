"""labkit: writes TCP conversations as real packets, and judges captures of them.

The names below load on first use, so that importing the package costs nothing:

- `Scenario`: what two applications do over a path; `Scenario.load(name_or_file).play(seed)` gives a `Trace`.
- `verify`: `verify(path, profile="rfc9293")` gives a `Verdict` with its findings.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.analysis.native.engine import verify
    from labkit.analysis.verifier import Verdict
    from labkit.build.scenario import Scenario
    from labkit.build.trace import Trace

__version__ = "0.1.0"
__all__ = ["Scenario", "Trace", "Verdict", "__version__", "verify"]

_HOMES = {
    "Scenario": "build.scenario",
    "Trace": "build.trace",
    "Verdict": "analysis.verifier",
    "verify": "analysis.native.engine",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
