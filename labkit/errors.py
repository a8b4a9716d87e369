"""What can go wrong, each with its own exception. A TCP violation is a finding, never an exception.

Every message is one line that says what is wrong and where; the command line prints it as it is.
"""


class LabkitError(Exception):
    """Base of all errors that a user can cause or mend."""


class UsageError(LabkitError):
    """A call or a command asks for something that does not exist or does not fit together."""


class ScenarioError(LabkitError):
    """A scenario, or a line of the notation, does not validate."""


class UncompilableError(LabkitError):
    """A rule that the compiled engine cannot take; the interpreter can."""


class CaptureError(LabkitError):
    """A file cannot be read, or written, as the capture that it should be."""


class InputError(LabkitError):
    """A file that a command needs beside captures and scenarios (a roster, a key) is not what it should be."""


class LinkError(LabkitError):
    """A live link failed, or a privilege or program that it needs is missing."""


class MissingError(LabkitError):
    """A library or a program that this needs is not installed; the message says how to get it."""
