"""The commands of `scripts/demo`, run in one process to save start-up time."""

import sys
from pathlib import Path

from labkit.cli import run
from labkit.i18n import N_, _, aside

TOP = Path(__file__).resolve().parents[2]
CAPTURE = "demo/document.pcapng"
CORRECT = "pcaps/real/get.pcap"
FAULTY = "pcaps/real/qi_internet_SYNACK_curl_jsonip.pcap"

STEPS = (
    (N_("A scenario becomes a capture, with a comment on each packet"), f"build document -o {CAPTURE}", 0),
    (N_("The conversation, as the teaching document's tables have it"), f"show --profile document {CAPTURE}", 0),
    (N_("Is it sound TCP?"), f"verify {CAPTURE}", 0),
    (N_("Does it follow the document?"), f"verify --profile document {CAPTURE}", 0),
    (N_("A real capture"), f"verify {CORRECT}", 0),
    (N_("A real capture with errors"), f"verify {FAULTY}", 1),
)
"""Title, command, and the exit code that the command must have."""

NEXT = (
    "labkit explain document",
    "labkit scenarios",
    "labkit build three-segment-close -o mine.pcapng",
)


def main() -> int:
    """Run the steps; return 1 if one has the wrong exit code."""
    (TOP / CAPTURE).parent.mkdir(exist_ok=True)
    (TOP / CAPTURE).unlink(missing_ok=True)
    wrong = [command for title, command, code in STEPS if not shown(title, command, code)]
    if wrong:
        print(_("demo: wrong exit code: {commands}").format(commands="; ".join(wrong)), file=sys.stderr)
        return 1
    print(_("{file} has a comment on each packet: open it in Wireshark. Try next:").format(file=CAPTURE))
    print(f"  cd '{TOP}' && . .venv/bin/activate")
    for command in NEXT:
        print(f"  {command}")
    return 0


def shown(title: str, command: str, code: int) -> bool:
    """Run one command under its title; tell whether it has the expected exit code."""
    print(f"== {_(title)}\n$ labkit {command}", flush=True)
    got = run(command.split())
    said = _("exit code {code}").format(code=got)
    print(f"-> {aside(said, _('as expected')) if got == code != 0 else said}\n", flush=True)
    return got == code


if __name__ == "__main__":
    sys.exit(main())
