"""labkit's exceptions. A TCP violation is a finding, never an exception.

Every message is one line that says what is wrong and where; the command line prints it unchanged.
"""


class LabkitError(Exception):
    """Base of all errors that a user can cause or mend."""


class UsageError(LabkitError):
    """A call or command names something unknown, or combines things that exclude each other."""


class ScenarioError(LabkitError):
    """A scenario, or a line of the notation, is invalid."""


class UncompilableError(LabkitError):
    """A rule that the compiled engine cannot take, or a compiler that is too old; the interpreter can."""


class CaptureError(LabkitError):
    """A capture cannot be read or written."""


class InputError(LabkitError):
    """Another input file of a command (a roster, a key) is invalid."""


class LinkError(LabkitError):
    """A live link failed, or lacks a privilege or a program."""


class VerdictError(LabkitError):
    """A capture that had to pass does not. `verdict` says why; the message is its first line and its first error."""

    def __init__(self, message: str, verdict: object = None) -> None:
        super().__init__(message)
        self.verdict = verdict


class MissingError(LabkitError):
    """A required library or program is not installed; the message says how to install it."""
