"""Check the subjects of the commits that are not on main yet: "area: what changed", at most 72 characters."""

import re
import subprocess
import sys
from collections.abc import Iterator

LONGEST = 72
FORM = re.compile(r"[a-z][\w./, -]*: (?![A-Z][a-z])\S.*[^.\s]")
GENERATED = re.compile(r"(Merge|Revert|fixup!|squash!) ")


def faults(subject: str) -> Iterator[str]:
    """Yield what is wrong with a commit's subject."""
    if GENERATED.match(subject):
        return
    if len(subject) > LONGEST:
        yield f"has {len(subject)} characters, at most {LONGEST} are allowed"
    if not FORM.fullmatch(subject):
        yield 'must read "area: what changed", in lower case, without a full stop'


def git(*words: str) -> str:
    """Return what git prints; an empty string if it fails."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def base() -> str:
    """Return the commit that new commits follow; an empty string if git does not know one."""
    if git("rev-parse", "--abbrev-ref", "HEAD") != "main" and (fork := git("merge-base", "HEAD", "main")):
        return fork
    return git("rev-parse", "--verify", "-q", "@{upstream}") or git("describe", "--tags", "--abbrev=0")


def main() -> int:
    """Print the faults of each new subject; return 1 if there are any."""
    since = base()
    subjects = git("log", "--format=%h %s", f"{since}..HEAD").splitlines() if since else []
    wrong = [f"{line}: {fault}" for line in subjects for fault in faults(line.partition(" ")[2])]
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
