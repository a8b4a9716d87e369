"""Verify what is in a file or in memory, with a verdict that prints itself: what `labkit.verify` and `labkit.Verdict` are.

verdict = verify("a.pcapng", ignore="KA,RTX")
assert verdict, verdict.text()
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from html import escape
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import click

from labkit.analysis import verdict as verdicts
from labkit.analysis.catalogue import collect
from labkit.analysis.examine import Completeness
from labkit.analysis.finding import one_line
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.flows import Flow
from labkit.analysis.native import AUTO, COMPILED, ENGINES, INTERPRETED, engine
from labkit.analysis.report_config import SEVERITIES, ReportConfig, limit_kinds, load
from labkit.analysis.severity import Severity
from labkit.build.trace import Trace
from labkit.capture import Frame, Frames, Reader, create, frames_of, open_capture
from labkit.errors import UsageError, VerdictError
from labkit.i18n import _, listed, nearest, printable
from labkit.report.formats import ReportOptions, renderer
from labkit.report.formats._records import verdict_record

if TYPE_CHECKING:
    from scapy.packet import Packet

Source: TypeAlias = (
    "str | os.PathLike[str] | BinaryIO | bytes | bytearray | memoryview"
    " | Trace | Frames | Packet | Iterable[Frame | Packet]"
)
"""What can be verified: a path ("-" is standard input), an open binary file, a file's content, a trace, frames, Scapy packets."""

Words: TypeAlias = str | Iterable[str]
"""Rules, or kinds of limits: several words, or one text with commas."""


MAX_NOTEBOOK_PAGE = 2_000_000
"""Characters of a page that a notebook keeps; of a larger one it has the text only."""


@dataclass(frozen=True, slots=True)
class Verdict(verdicts.Verdict):
    """What `verify` finds in one capture. It is true if the capture passes; printing it shows the report."""

    config: ReportConfig = field(default_factory=ReportConfig, repr=False)
    """The options that the capture was judged with."""

    @property
    def ok(self) -> bool:
        """Whether the capture passes: it was judged to its end, and no finding is at or above `fail_on`.

        With `allow_empty`, a capture in which nothing was judged passes too.
        """
        outcome = self.outcome()
        return outcome == "pass" or (outcome == "not-judged" and self.config.allow_empty)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.text()

    def text(self, *, verbose: bool = False, color: bool = False, max_shown: int = 5) -> str:
        """The report for people, as `labkit verify` prints it, without a line end.

        `verbose` shows notes in full, and figures for each conversation. `color` adds escape sequences for a terminal. At most
        `max_shown` findings of each rule are shown in full; 0 shows all.
        """
        lines = "\n".join(renderer("text")([self], self._options(verbose=verbose, max_shown=max_shown)))
        return lines if color else click.unstyle(lines)

    def to_dict(self) -> dict[str, object]:
        """The verdict as values for JSON: an element of `captures` in the output of `labkit verify --format json`."""
        return verdict_record(self, self.fail_on)

    def raise_for_errors(self) -> None:
        """Raise VerdictError unless the capture passes."""
        if self.ok:
            return
        first = next((each for each in self.findings if each.severity >= self.fail_on), None)
        reasons = (
            [one_line(first)] if first is not None else [each.message for each in self.failing_limits() or self.limits]
        )
        headline = self.text().partition("\n")[0]
        raise VerdictError(printable(_("; ").join([headline, *reasons[:1]])), self)

    def annotate(self, target: str | os.PathLike[str]) -> int:
        """Write a copy of the capture with each finding as a comment on its packet; return the number of such packets.

        `target` ends in .pcapng. UsageError for another suffix and for standard input, CaptureError if it cannot be written.
        """
        from labkit.report.annotate import annotate

        return annotate(self, os.fspath(target), self._options())[0]

    def _options(self, *, verbose: bool = False, max_shown: int = 5) -> ReportOptions:
        return ReportOptions(self.fail_on, verbose, max_shown, config=self.config)

    def _repr_mimebundle_(self, **_choices: object) -> dict[str, str]:
        """What a notebook shows (IPython's protocol): the text, and the page of `labkit verify --format html` in a frame."""
        page = "\n".join(renderer("html")([self], self._options()))
        shown = {"text/plain": self.text()}
        if len(page) <= MAX_NOTEBOOK_PAGE:
            height = "36rem" if self.findings else "18rem"
            style = f"width: 100%; height: {height}; border: 0; resize: vertical"
            shown["text/html"] = f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{escape(page)}"></iframe>'
        return shown


def verify(
    source: Source,
    *,
    profile: str | None = None,
    literal: bool | None = None,
    select: Words | None = None,
    ignore: Words | None = None,
    severity: Mapping[str, Severity | str] | None = None,
    fail_on: Severity | str | None = None,
    strict: bool | Words | None = None,
    complete: bool | None = None,
    allow_empty: bool | None = None,
    rules: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None" = None,
    config: ReportConfig | str | os.PathLike[str] | None = None,
    flow_filter: FlowFilter | Callable[[Flow], bool] | None = None,
    engine: str = AUTO,
    on_progress: Callable[[int], None] | None = None,
) -> Verdict:
    """Verify one capture, in a file or in memory. A violation of TCP is a finding, never an exception.

    `source` is a path ("-": standard input), an open binary file, the content of a file as bytes, a `Trace`, or Scapy packets
    or `Frame`s in any iterable. Scapy packets are numbered from 1 and keep their times; frames keep their numbers.

    The options are those of `labkit verify`; one that is None has the value of `config`: a `ReportConfig`, or the path of a
    labkit.toml. No configuration file is looked for. `select`, `ignore` and `strict` take words, or one text with commas;
    `strict=True` stands for all limits. `complete` says that no packet is missing (True), or that some are (False). `rules`
    names one or more Python files of further rules, which are run. `flow_filter` chooses the conversations to report. `engine`
    is "auto", "interpreted" or "compiled". `on_progress` is called with the number of frames from time to time.

    UsageError for a source or option that makes no sense, CaptureError for a file that is not a capture.
    """
    if engine not in ENGINES:
        text = _("there is no engine '{word}'; the engines are {known}")
        raise UsageError(text.format(word=printable(str(engine)), known=listed(ENGINES)))
    for name, value in (("flow_filter", flow_filter), ("on_progress", on_progress)):
        if value is not None and not callable(value):
            text = _("{name}: got {value}; expected {expected}")
            expected = _("a FlowFilter or a function") if name == "flow_filter" else _("a function")
            raise UsageError(text.format(name=name, value=repr(value)[:40], expected=expected))
    for name, choice in (("literal", literal), ("complete", complete), ("allow_empty", allow_empty)):
        if not (choice is None or isinstance(choice, bool)):
            text = _("{name}: got {value}; expected {expected}")
            raise UsageError(text.format(name=name, value=repr(choice)[:40], expected=_("one of True, False, None")))
    files = _files(rules)
    base = ReportConfig() if config is None else config
    if not isinstance(base, ReportConfig):
        base = load(Path(base), files or ())
    extra = base.extra if files is None else files
    changes: dict[str, Any] = {
        "extra": extra,
        "profile": profile,
        # As on the command line, a profile replaces `literal` of the file, and a selection its `ignore`.
        "literal": False if literal is None and profile is not None else literal,
        "select": _words(select),
        "ignore": () if ignore is None and select is not None else _words(ignore),
        "severity": None if severity is None else {word: _severity(each) for word, each in severity.items()},
        "fail_on": None if fail_on is None else _severity(fail_on),
        "strict": strict if isinstance(strict, bool) else _limits(strict, extra),
        "completeness": None if complete is None else Completeness.COMPLETE if complete else Completeness.PARTIAL,
        "allow_empty": allow_empty,
    }
    chosen = replace(base, **{name: value for name, value in changes.items() if value is not None})
    judged = _judged(source, chosen, flow_filter, engine, on_progress)
    judged = chosen.apply(judged)
    values = {each.name: getattr(judged, each.name) for each in fields(verdicts.Verdict)}
    return Verdict(**values, config=chosen)


def _judged(
    source: Source,
    config: ReportConfig,
    wanted: Callable[[Flow], bool] | None,
    name: str,
    on_progress: Callable[[int], None] | None,
) -> verdicts.Verdict:
    len(config.severities)  # UsageError for a word that names no rule, whatever is found
    if config.profile in verdicts.PROFILES and config.leaves_no_rule():
        raise UsageError(_("select and ignore leave no rule of the profile {name}").format(name=config.profile))
    opened, path = _opened(source, name)
    with opened as capture:
        verdict = engine.verify_capture(
            capture,
            config.profile,
            literal=config.literal,
            on_progress=on_progress,
            wanted=wanted,
            engine=name,
            rules=collect(config.extra) if config.extra else None,
            completeness=config.completeness,
        )
        again = None if isinstance(source, str | os.PathLike) else capture.again()
    content = again.getvalue() if isinstance(again, BytesIO) else again if isinstance(again, Frames) else None
    return replace(verdict, path=path, content=content)


def _opened(source: Source, name: str) -> tuple[Reader, str]:
    """The capture to read, and what reports call it."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return open_capture(path), path
    if isinstance(source, bytes | bytearray | memoryview):
        return open_capture(BytesIO(source)), "<bytes>"
    if hasattr(source, "read") and not isinstance(source, Frames):
        stream = cast("BinaryIO", source)
        return open_capture(stream), str(getattr(stream, "name", "<stream>"))
    frames = _frames(source)
    octets = sum(len(each.data) for each in frames.frames)
    if name == COMPILED or (name != INTERPRETED and octets >= engine.LARGE):
        numbers = (each.number for each in frames.frames)
        if all(number == place for place, number in enumerate(numbers, 1)):
            return open_capture(_file(frames)), frames.name
    if name == COMPILED:
        raise UsageError(_("the compiled engine counts packets from 1; these frames have other numbers"))
    return open_capture(frames), frames.name


def _frames(source: object) -> Frames:
    if isinstance(source, Trace):
        found = [
            Frame(number, each.time, source.link_of(each), each.octets, each.wirelen, (), each.interface)
            for number, each in enumerate(source.file(), 1)
        ]
        return Frames(found, source.name)
    if not isinstance(source, Iterable | Frames):
        text = _(
            "cannot verify a value of type {kind}; expected a path, a file, bytes, a Trace, Scapy packets or frames"
        )
        raise UsageError(text.format(kind=type(source).__name__))
    return frames_of(source)


def _file(frames: Frames) -> BytesIO:
    """The frames as a pcapng in memory, which the compiled engine reads."""
    target = BytesIO()
    with open_capture(frames) as capture:
        first, *others = [each.link for each in capture.interfaces] or [1]
        with create(target, link=first) as writer:
            for link in others:
                writer.add_interface(link)
            for frame in capture:
                wirelen = max(frame.wirelen, len(frame.data))
                writer.write(frame.time, frame.data, wirelen=wirelen, interface=frame.interface)
    target.seek(0)
    return target


def _files(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    files = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    if not all(isinstance(each, str | os.PathLike) for each in files):
        text = _("{name}: got {value}; expected {expected}")
        expected = _("the paths of Python files")
        raise UsageError(text.format(name="rules", value=printable(repr(value)[:40]), expected=expected))
    return tuple(map(os.fspath, files))


def _words(value: Words | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    words = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else None
    if words is None or not all(isinstance(each, str) for each in words):
        text = _("{value} is not a list of words; expected codes or names of rules, such as 'ACK,RTX'")
        raise UsageError(text.format(value=repr(value)[:40]))
    return tuple(chain.from_iterable(map(_split, words)))


def _split(text: str) -> Iterator[str]:
    return (word.strip() for word in text.split(",") if word.strip())


def _limits(value: Words | None, extra: tuple[str, ...]) -> tuple[str, ...] | None:
    words = _words(value)
    return None if words is None else limit_kinds(words, collect(extra))


def _severity(value: Severity | str) -> Severity:
    if isinstance(value, Severity):
        return value
    if value not in SEVERITIES:
        text = _("there is no severity '{word}'; the severities are {known}")
        known = listed(SEVERITIES)
        raise UsageError(text.format(word=printable(str(value)), known=known) + nearest(str(value), SEVERITIES))
    return SEVERITIES[value]
