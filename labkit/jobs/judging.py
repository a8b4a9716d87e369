"""Judge one capture: the step that every process and every machine does alike."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from labkit.analysis.catalogue import collect
from labkit.analysis.native import AUTO, engine
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.verdict import Verdict
from labkit.capture import Damage, open_capture
from labkit.capture.budget import Budget, Meter
from labkit.errors import CaptureError, LabkitError
from labkit.i18n import _, available, language, printable, speaking
from labkit.jobs.interrupts import Interrupts

if TYPE_CHECKING:
    from labkit.analysis.flow_filter import FlowFilter

Judge = Callable[[str], Verdict]

MAX_ERROR = 200
"""Characters of the words of an internal error that a message shows."""


@dataclass(frozen=True, eq=False, repr=False)
class Request:
    """How to judge captures, and what to report."""

    config: ReportConfig
    flow_filter: "FlowFilter | None" = None
    engine: str = AUTO
    """One of `labkit.analysis.native.ENGINES`."""
    budget: Budget = field(default_factory=Budget)
    """What judging one capture may cost."""
    alone: bool = True
    """False: other workers run too; use one thread and never compile."""
    language: str = field(default_factory=language)
    """The language of the texts in the verdict, on whichever machine it is made."""


class Listener(Protocol):
    """Show the work while it goes on."""

    def on_capture(self, path: str, number: int, total: int) -> None:
        """Capture `number` of `total`, counted from 1, begins."""

    def on_progress(self, packets: int, share: float | None) -> None:
        """`packets` of the capture are read; `share` of its octets, from 0 to 1, or None where its size is unknown."""

    def on_notice(self, text: str) -> None:
        """A line for the user."""


def judge(
    request: Request, path: str, interrupts: Interrupts | None = None, listener: Listener | None = None
) -> Verdict:
    """Judge one capture. CaptureError where its file cannot be read."""
    other = speaking(available(request.language)) if request.language != language() else nullcontext()
    with other, open_capture(path, Meter(request.budget)) as capture:
        verdict = engine.verify_capture(
            capture,
            request.config.profile,
            literal=request.config.literal,
            on_progress=None if listener is None else lambda packets: listener.on_progress(packets, capture.share),
            wanted=request.flow_filter,
            engine=request.engine,
            interruption=interrupts,
            on_notice=None if listener is None else listener.on_notice,
            alone=request.alone,
            rules=collect(request.config.extra) if request.config.extra else None,
            completeness=request.config.completeness,
        )
    if interrupts is not None and interrupts.seen:
        reason = _("interrupted after packet {n}").format(n=verdict.packets)
        verdict = verdict.with_damage(Damage(reason, None, cut=True))
    verdict = replace(verdict, path=path)
    return request.config.apply(verdict)


def judge_file(judge: Judge, file: str, path: str) -> Verdict:
    """Judge the capture in `file`, which the user calls `path`.

    Whatever fails for this capture alone becomes a verdict with an `error`. Any other LabkitError is raised.
    """
    try:
        verdict = judge(file)
    except CaptureError as error:
        text = str(error)
        return Verdict(path, "", error=text if file == path else text.replace(printable(file), printable(path), 1))
    except (LabkitError, ImportError):  # every other capture would meet it too
        raise
    except MemoryError:
        text = _("{name}: was not judged: there is too little memory")
        return Verdict(path, "", error=text.format(name=printable(path)))
    except Exception as error:
        if os.environ.get("LABKIT_DEBUG"):
            raise
        text = _(
            "{name}: was not judged: internal error: {kind}: {error} (LABKIT_DEBUG=1 shows where; please report it)"
        )
        what = printable(" ".join(str(error).split())[:MAX_ERROR])
        return Verdict(
            path, "", error=text.format(name=printable(path), kind=type(error).__name__, error=what), crashed=True
        )
    return replace(verdict, path=path)
