"""What `scripts/demo` shows: commands as a user would type them, run in one process to save start-up."""

import sys
from pathlib import Path

from labkit.cli import run

TOP = Path(__file__).resolve().parents[2]
CAPTURE = "demo/document.pcapng"
CORRECT = "pcaps/real/get.pcap"
FAULTY = "pcaps/real/qi_internet_SYNACK_curl_jsonip.pcap"

STEPS = (
    ("A scenario becomes a capture, with a comment on each packet", f"build document -o {CAPTURE}", 0),
    ("The conversation, as the teaching document's tables have it", f"show --profile document {CAPTURE}", 0),
    ("Is it sound TCP?", f"verify {CAPTURE}", 0),
    ("Does it follow the document?", f"verify --profile document {CAPTURE}", 0),
    ("A real capture", f"verify {CORRECT}", 0),
    ("A real capture that is at fault", f"verify {FAULTY}", 1),
)
"""What is to be seen, the command that shows it, and the exit code that it must have."""

NEXT = (
    "labkit explain document",
    "labkit scenarios",
    "labkit build three-segment-close -o mine.pcapng",
)


def main() -> int:
    """Run the steps; 1 where one of them did not do what it should."""
    (TOP / CAPTURE).parent.mkdir(exist_ok=True)
    (TOP / CAPTURE).unlink(missing_ok=True)
    wrong = [command for title, command, code in STEPS if not shown(title, command, code)]
    if wrong:
        print(f"demo: not as expected: {'; '.join(wrong)}", file=sys.stderr)
        return 1
    print(f"{CAPTURE} can be opened in Wireshark: each packet has a comment. To try next:")
    print(f"  cd '{TOP}' && . .venv/bin/activate")
    for command in NEXT:
        print(f"  {command}")
    return 0


def shown(title: str, command: str, code: int) -> bool:
    """Run one command under its title; whether it ended as it should."""
    print(f"== {title}\n$ labkit {command}", flush=True)
    got = run(command.split())
    remark = "" if code == 0 else "  (as it should be)" if got == code else ""
    print(f"-> exit code {got}{remark}\n", flush=True)
    return got == code


if __name__ == "__main__":
    sys.exit(main())
