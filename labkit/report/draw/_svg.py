"""The words of SVG: elements as plain strings, so that the same picture always has the same bytes."""

from collections.abc import Iterable
from html import escape

from labkit.i18n import language, printable

PALETTE = {
    # role: light, dark. Okabe and Ito's colours, darkened or lightened until text has a contrast of 4.5 on the background.
    "paper": ("#ffffff", "#16181d"),
    "ink": ("#1b1f24", "#e6e8eb"),
    "muted": ("#57606a", "#a3acb6"),
    "line": ("#c4cad1", "#464d56"),
    "data": ("#005a94", "#6cb8ee"),
    "control": ("#006b51", "#3fc49a"),
    "again": ("#8a3f73", "#e39ac7"),
    "warning": ("#8a5a00", "#e8b23f"),
    "fault": ("#b3261e", "#ff8a80"),
    "right": ("#006b51", "#3fc49a"),
    "band": ("#f1f3f5", "#23272e"),
    # The bars of states: closed, opening, established, closing, waiting.
    "closed": ("#9aa2ab", "#5b636d"),
    "opening": ("#e69f00", "#b47c00"),
    "established": ("#009e73", "#00835f"),
    "closing": ("#56b4e9", "#2f86b8"),
    "waiting": ("#cc79a7", "#a5577f"),
}
"""The colours of both themes, by what they stand for."""

FONT = "ui-monospace, 'DejaVu Sans Mono', 'Noto Sans Mono', Menlo, Consolas, monospace"
SANS = "system-ui, 'DejaVu Sans', 'Noto Sans', 'Noto Sans CJK SC', Arial, sans-serif"


def text_of(value: object) -> str:
    """A foreign text as text of XML: no markup, no control characters, no marks of direction."""
    return escape(printable(str(value)), quote=True)


def number_of(value: float) -> str:
    """A coordinate with at most one decimal."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def element(name: str, content: str | None = None, /, **attributes: object) -> str:
    """One element. A trailing underscore of an attribute's name is left out, others become hyphens; None leaves it out.

    `content` is XML already; values of attributes are escaped here.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{number_of(value) if isinstance(value, float) else text_of(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}/>" if content is None else f"<{name}{given}>{content}</{name}>"


def group(parts: Iterable[str], **attributes: object) -> str:
    """A group of elements, each on its own line."""
    return element("g", "\n" + "\n".join(parts) + "\n", **attributes)


def label(x: float, y: float, content: object, class_: str = "", *, anchor: str | None = None, **more: object) -> str:
    """A line of text. `anchor` is `middle` or `end`; a plain text is escaped."""
    return element("text", text_of(content), x=float(x), y=float(y), class_=class_ or None, text_anchor=anchor, **more)


def path(points: Iterable[tuple[float, float]], **attributes: object) -> str:
    """A line through points."""
    lead = "M"
    steps = []
    for x, y in points:
        steps.append(f"{lead}{number_of(float(x))} {number_of(float(y))}")
        lead = "L"
    return element("path", d="".join(steps), **attributes)


def document(width: float, height: float, content: Iterable[str], *, title: str, style: str) -> str:
    """A whole SVG file with its style."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number_of(float(width))} {number_of(float(height))}" '
        f'width="{number_of(float(width))}" height="{number_of(float(height))}" role="img"{_spoken()}>'
    )
    background = element("rect", width="100%", height="100%", class_="paper")
    return "\n".join(
        (head, f"<title>{text_of(title)}</title>", f"<style>{style}</style>", background, *content, "</svg>")
    )


def _spoken() -> str:
    """The language of the texts, by which programs choose the shapes of Chinese characters, not those of Japanese."""
    spoken = language()
    return "" if spoken == "en" else f' xml:lang="{spoken}"'


def inline(width: float, height: float, content: Iterable[str], *, title: str) -> str:
    """A picture inside a page, which has the style."""
    head = (
        f'<svg viewBox="0 0 {number_of(float(width))} {number_of(float(height))}" '
        f'width="{number_of(float(width))}" height="{number_of(float(height))}" role="group" aria-label="{text_of(title)}">'
    )
    return "\n".join((head, *content, "</svg>"))


def style() -> str:
    """The style of all pictures, in both themes."""
    return f"{_theme(0)}\n@media (prefers-color-scheme: dark) {{\n{_theme(1)}\n}}\n@media print {{\n{_theme(0)}\n}}\n{SHAPES}"


SHAPES = f"""\
svg text {{ font: 12px {FONT}; }}
svg .title {{ font: bold 14px {SANS}; }}
svg .small {{ font-size: 11px; }}
svg .strong {{ font-weight: bold; }}
svg .halo {{ paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }}
svg .arrow {{ fill: none; stroke-width: 1.5; }}
svg .thin {{ fill: none; stroke-width: 1; }}
svg .dashed {{ stroke-dasharray: 6 4; }}
svg .dotted {{ stroke-dasharray: 2 3; }}
svg .thick {{ stroke-width: 2.5; }}
"""


def _theme(which: int) -> str:
    """The rules of one theme: each role as a colour of text and shapes (`role`) and of lines (`role-line`)."""
    lines = []
    for role, colours in PALETTE.items():
        colour = colours[which]
        lines.append(f"svg .{role} {{ fill: {colour}; }}")
        lines.append(f"svg .{role}-line {{ stroke: {colour}; }}")
    paper = PALETTE["paper"][which]
    lines.append(f"svg .halo {{ stroke: {paper}; }}")
    return "\n".join(lines)
