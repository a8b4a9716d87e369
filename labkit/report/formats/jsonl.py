"""JSON lines: one finding a line, with the path of its capture.

Other lines: `config` first, if a configuration file was used; `error` or `damage` for a capture that could
not be read, or not to its end; `limits` for a capture that has some, with its `verdict`; `not_kept` for findings that were only
counted.
"""

from collections.abc import Iterable, Iterator
from json import dumps

from labkit.analysis.verdict import Verdict
from labkit.report.formats import ReportOptions
from labkit.report.formats._records import blocks, config_record, finding_record, limit_records, not_kept


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield a line for each finding."""
    if options.config_line:
        yield dumps({"config": config_record(options)})
    for verdict in verdicts:
        if verdict.error:
            yield dumps({"path": verdict.path, "error": verdict.error})
        if verdict.damage:
            yield dumps({"path": verdict.path, "damage": verdict.damage._asdict()})
        if verdict.limits:
            word = verdict.outcome(options.fail_on)
            yield dumps(
                {"path": verdict.path, "verdict": word, "up_to": verdict.up_to, "limits": limit_records(verdict)}
            )
        yield from blocks(dumps({"path": verdict.path, **finding_record(each)}) for each in verdict.findings)
        if verdict.beyond:
            yield dumps({"path": verdict.path, "not_kept": not_kept(verdict)})
