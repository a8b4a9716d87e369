"""Pictures of conversations: one module for each picture, found by its name; a leading underscore marks a helper.

A picture has SUMMARY, one line, and FORMATS: for each output format a function that takes a `Subject` and `DrawOptions` and
yields the lines of the picture. The same subject always gives the same bytes. `svg` and `html` may be long; their lines end
where a reader would end them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

from labkit.errors import UsageError
from labkit.i18n import _, listed
from labkit.modules import modules_in

if TYPE_CHECKING:
    from labkit.analysis.verdict import Verdict
    from labkit.build.captured import Source
    from labkit.build.trace import Trace
    from labkit.report.draw._subject import Opener, Subject

LADDER = "ladder"

SUFFIXES = {
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".txt": "terminal",
    ".mmd": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".xpl": "xpl",
    ".png": "png",
    ".pdf": "pdf",
}
"""The format of a file by its suffix."""

CONVERTED = ("png", "pdf")
"""Formats that another program makes from the SVG."""


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """A user's options for a picture."""

    whole: bool = False
    """Draw every segment, and fold nothing."""
    most: int = 8
    """Conversations to draw."""
    packet: int | None = None
    """The packet of pictures that show one: the header view and the layers."""


Lines = Iterator[str]
Draw = Callable[["Subject", DrawOptions], Lines]


def draw(
    source: "Source | Trace",
    what: str = LADDER,
    *,
    format: str = "svg",  # noqa: A002 - the word of the field
    profile: str = "rfc9293",
    reveal: str = "full",
    options: DrawOptions | None = None,
) -> str:
    """Draw a capture, or a trace, and return the picture's text. `source` is all that `labkit.verify` takes.

    `profile` judges it, `reveal` is a level of `labkit.report.reveal`. UsageError for a picture or format that does not exist,
    CaptureError for a file that is not a capture.
    """
    from labkit.analysis.native.engine import verify_capture
    from labkit.build.trace import Trace
    from labkit.report.draw._subject import of_capture, of_trace
    from labkit.report.reveal import reveal as revealed

    def verdict_of(opener: "Opener") -> "Verdict":
        with opener() as capture:
            return revealed(verify_capture(capture, profile), reveal)

    function = picture(what, format)
    if isinstance(source, Trace):
        subject = of_trace(source, verdict_of)
    else:
        found, title = _opener(source)
        subject = of_capture(title, found, verdict_of(found))
    return "\n".join(function(subject, options or DrawOptions())) + "\n"


def _opener(source: "Source") -> "tuple[Opener, str]":
    """What opens a capture, as often as it is called, and what the picture calls it."""
    from labkit.build.captured import openable
    from labkit.capture import Frames, open_capture

    found = openable(source)
    if isinstance(found, str):
        return lambda: open_capture(found), found
    if isinstance(found, Frames):
        return lambda: open_capture(found), found.name
    octets = found.read()
    return lambda: open_capture(BytesIO(octets)), str(getattr(found, "name", "<bytes>"))


def names() -> list[str]:
    """The pictures, the ladder first."""
    return sorted((name.replace("_", "-") for name in modules_in(__path__)), key=lambda name: (name != LADDER, name))


def needs_all(name: str) -> bool:
    """Whether a picture needs every segment. Others read the capture themselves, and need the choice of conversations only."""
    return not getattr(_module(name), "STREAMS", False)


def conversations_of(name: str) -> int | None:
    """How many conversations a picture shows; None if it looks at all of them."""
    most: int | None = getattr(_module(name), "CONVERSATIONS", None)
    return most if needs_all(name) else 1


def summary(name: str) -> str:
    """What a picture shows, in one line."""
    text: str = _module(name).SUMMARY
    return text


def formats(name: str) -> list[str]:
    """The formats of a picture, with those that are made from its SVG."""
    own = list(_module(name).FORMATS)
    return [*own, *(each for each in CONVERTED if "svg" in own)]


def picture(name: str, format_: str) -> Draw:
    """The function that draws a picture in a format. UsageError if there is none."""
    own: dict[str, Draw] = _module(name).FORMATS
    if format_ not in own:
        text = _("the picture {name} has no format {format}; it has: {known}")
        raise UsageError(text.format(name=name, format=format_, known=listed(formats(name))))
    return own[format_]


def _module(name: str) -> "PictureModule":
    if name not in names():
        raise UsageError(_("there is no picture {name}; there are: {known}").format(name=name, known=listed(names())))
    module: PictureModule = import_module(f"{__name__}.{name.replace('-', '_')}")  # type: ignore[assignment]
    return module


class PictureModule:
    """What a picture's module holds."""

    SUMMARY: str
    FORMATS: dict[str, Draw]
