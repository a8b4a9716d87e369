"""The command line of `scripts/accuracy`: compare labkit and tshark.

Both read every capture of a folder. For each class of events, the script counts the segments that both name and those that
only one of them names. Each of the latter is a case; the first reason that holds decides it (`accuracy_reasons`).
"""

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import accuracy_page
import accuracy_situations
from accuracy_facts import facts
from accuracy_reasons import LABKIT, TSHARK, adjudicate
from accuracy_score import CLASSES, FAMILY, GOAL, Case, Score
from accuracy_tshark import ask, version

from labkit import verify
from labkit.errors import CaptureError

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
WORKERS = 2
RENAMED = {"tcp.option.len.invalid": "option_length", "tcp.checksum_bad": "checksum"}
NO_CAPTURES = {".md", ".tsv", ".txt"}


def judge(path: Path, known: dict[int, bool]) -> tuple[int, dict[int, set[str]]]:
    """Return the number of packets, and labkit's names for each.

    `known` tells which TCP segments have a wrong checksum, or one left to hardware: labkit makes one finding for many of
    them (CK03, and CK02 if all are wrong alike).
    """
    names: dict[int, set[str]] = {number: {"checksum"} if wrong_sum else set() for number, wrong_sum in known.items()}
    judgement = verify(path)
    for finding in judgement.findings:
        if finding.packet is None or finding.wireshark is None:
            continue
        name = finding.wireshark.removeprefix("tcp.analysis.")
        names.setdefault(finding.packet, set()).add(RENAMED.get(name, name))
    return judgement.packets, names


def compare(release: str, folder: Path, path: Path) -> Score:
    """Compare one capture. A file that is not a capture counts nothing."""
    score = Score()
    try:
        known = facts(path)
        score.packets, ours = judge(path, {number: fact.wrong_sum for number, fact in known.items()})
    except CaptureError:
        return score
    theirs = ask(path, release)
    name = path.relative_to(folder).as_posix()
    score.captures, score.segments = 1, len(theirs)
    for number in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get(number, set()), ours.get(number, set())
        for group, names in CLASSES.items():
            if names & a and names & b:
                score.both[group] += 1
            elif names & (a | b):
                only = TSHARK if names & a else LABKIT
                score.cases.append(Case(name, number, group, only, adjudicate(group, only, known.get(number))))
        kinds = _kind(a), _kind(b)
        if all(kinds):
            score.kinds[kinds] += 1
    for who, missing in ((TSHARK, theirs.keys() - known.keys()), (LABKIT, known.keys() - theirs.keys())):
        if missing:
            score.unseen.append((name, len(missing), who))
    return score


def _kind(names: set[str]) -> str:
    return next((kind for kind in FAMILY if kind in names), "")


def captures(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder that may be a capture."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NO_CAPTURES)


def main() -> int:
    """Compare, print, write the page; return 1 if a class misses the goal."""
    parser = argparse.ArgumentParser(prog="scripts/accuracy")
    parser.add_argument(
        "folders", nargs="*", metavar="FOLDER", help="by default those of the folder in LABKIT_CAPTURES"
    )
    parser.add_argument("--page", default=str(PAGE), help="write the page to this file; - only prints")
    parser.add_argument("--situations", action="store_true", help="write only the page's section of situations anew")
    parser.add_argument("--from", dest="start", default=".", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.situations:
        PAGE.write_text(accuracy_situations.replaced(PAGE.read_text("utf-8"), version()), "utf-8")
        return 0
    folders = [Path(asked.start, each) for each in asked.folders or filter(None, [os.environ.get("LABKIT_CAPTURES")])]
    if not folders or not all(each.is_dir() for each in folders):
        parser.error("missing FOLDER: name folders of captures, or set LABKIT_CAPTURES")
    release = version()
    top = folders[0] if len(folders) == 1 else folders[0].parent
    paths = [path for each in folders for path in captures(each)]
    apart = not any(path.parent == top for path in paths)
    scores: dict[str, Score] = {}
    with ProcessPoolExecutor(WORKERS) as pool:
        for path, score in zip(paths, pool.map(partial(compare, release, top), paths, chunksize=4), strict=True):
            part = path.relative_to(top).parts[0] if apart else "captures"
            scores.setdefault(part, Score()).add(score)
    scores = {name: score for name, score in sorted(scores.items()) if score.captures}
    print(accuracy_page.table(scores), end="")
    if asked.page != "-":
        Path(asked.start, asked.page).write_text(accuracy_page.page(scores, release), "utf-8")
    missed = [f"{name}: {group}" for name, score in scores.items() for group in score.misses()]
    print(f"below {GOAL}: {', '.join(missed) or 'nothing'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
