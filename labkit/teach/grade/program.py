"""Grade a program that was handed in: it is run once for each seed, and each run's capture is graded like one handed in.

A part's points are the mean of the runs. Its reason is that of the run with the fewest points.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from ipaddress import ip_address

from labkit.build.scenario import Scenario
from labkit.capture import Frame, create
from labkit.i18n import _, printable
from labkit.live.trial import Setting, Trial, run_trial
from labkit.packet.linktype import ETHERNET
from labkit.teach.grade.judging import MAX_MISTAKES, grade, judged, mistakes_of, without
from labkit.teach.grade.task import EMPTY, NO_TCP, Mistake, PartResult, Result, Run, Task


def grade_program(
    task: Task,
    setting: Setting,
    seeds: Sequence[int],
    on_run: Callable[[Trial, Result, Sequence[Frame]], None] = lambda _trial, _result, _frames: None,
) -> Result:
    """Run a program once for each seed, and grade what it sent. Whatever it does, the Result says so.

    `on_run` gets each run, its grade, and its frames with the mistakes in their comments. LinkError if the lab cannot be made,
    UsageError if the scenario does not fit.
    """
    results: list[Result] = []
    runs: list[Run] = []
    for seed in seeds:
        trial = run_trial(setting, seed)
        result, frames = _graded(replace(task, judged=trial.address), trial, setting.scenario)
        on_run(trial, result, frames)
        results.append(result)
        output = "\n".join(map(printable, trial.output.splitlines()))
        runs.append(
            Run(
                seed,
                result.points,
                len(frames),
                trial.ended,
                trial.exit_code,
                output,
            )
        )
    return _joined(task, results, runs)


def octets(frames: Sequence[Frame], scenario: Scenario) -> bytes:
    """The frames of a run as a pcapng capture."""
    stream = BytesIO()
    with create(stream, link=frames[0].link if frames else 1, format="pcapng", comment=scenario.name) as writer:
        for frame in frames:
            writer.write(frame.time, frame.data, comments=frame.comments)
    return stream.getvalue()


def _graded(task: Task, trial: Trial, scenario: Scenario) -> tuple[Result, Sequence[Frame]]:
    if not any(_is_from(frame, trial.address) for frame in trial.frames):
        reason = _("the program sent no packet with its address {address}").format(address=trial.address)
        status = NO_TCP if trial.frames else EMPTY
        return without(task, status, _("; ").join(filter(None, (reason, trial.ended)))), trial.frames
    capture = octets(trial.frames, scenario)
    result = replace(grade(task, capture), file="")
    if not result.was_read:
        return result, trial.frames
    verdict, _talks = judged(task, capture)
    said: dict[int, list[str]] = {}
    for each in mistakes_of(task, verdict):
        if each.packet is not None:
            said.setdefault(each.packet, []).append(f"{each.code}{_(': ')}{each.message}")
    frames = [frame._replace(comments=(*frame.comments, *said.get(frame.number, ()))) for frame in trial.frames]
    if trial.ended:
        result = replace(result, notes=(*result.notes, trial.ended))
    return result, frames


def _is_from(frame: Frame, address: str) -> bool:
    """Whether an IP datagram comes from an address."""
    at = 14 if frame.link == ETHERNET else 0
    source = ip_address(address)
    kind, place = (b"\x08\0", at + 12) if source.version == 4 else (b"\x86\xdd", at + 8)
    return frame.data[place:].startswith(source.packed) and (not at or frame.data[12:14] == kind)


def _joined(task: Task, results: Sequence[Result], runs: Sequence[Run]) -> Result:
    """One result of all runs."""
    parts = tuple(
        _joined_part([each.parts[at] for each in results], [run.seed for run in runs]) for at in range(len(task.parts))
    )
    read = [each for each in results if each.was_read]
    first = read[0] if read else results[0]
    notes = [_seeded(run.seed, note, len(runs)) for run, each in zip(runs, results, strict=True) for note in each.notes]
    return Result(
        task=task,
        status=first.status,
        points=round(max(0.0, sum(part.points for part in parts)), 2),
        parts=parts,
        mistakes=tuple(_mistakes(results, runs))[:MAX_MISTAKES],
        notes=tuple(dict.fromkeys(notes)),
        conversation=first.conversation,
        packets=sum(run.packets for run in runs),
        runs=tuple(runs),
    )


def _joined_part(parts: Sequence[PartResult], seeds: Sequence[int]) -> PartResult:
    points = round(sum(part.points for part in parts) / len(parts), 2)
    worst = min(range(len(parts)), key=lambda at: parts[at].points)
    reason = parts[worst].reason
    if not parts[worst].passed:
        reason = _seeded(seeds[worst], reason, len(seeds))
    return replace(parts[worst], points=points, reason=reason)


def _mistakes(results: Sequence[Result], runs: Sequence[Run]) -> Iterator[Mistake]:
    """The mistakes of all runs: of those that repeat themselves, the first."""
    seen: set[tuple[str, str]] = set()
    for run, result in zip(runs, results, strict=True):
        for each in result.mistakes:
            key = each.part, each.code or each.what
            if key not in seen:
                seen.add(key)
                hint = each.hint and _seeded(run.seed, each.hint, len(runs))
                yield replace(each, what=_seeded(run.seed, each.what, len(runs)), hint=hint)


def _seeded(seed: int, text: str, runs: int) -> str:
    return _("seed {seed}: {text}").format(seed=seed, text=text) if runs > 1 else text
