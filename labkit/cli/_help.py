"""Help pages with wide characters: click counts characters, and breaks lines at spaces only."""

from collections.abc import Iterable

import click

from labkit.i18n import _, catalogue, padded, width, wrapped


class Formatter(click.HelpFormatter):
    """Writes help in columns of the terminal, where the user's language is not English."""

    def write_heading(self, heading: str) -> None:
        """Write a heading with the language's colon."""
        self.write(f"{'':>{self.current_indent}}{heading}{_(': ').rstrip()}\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs, indented and wrapped."""
        if catalogue() is None:
            super().write_text(text)
            return
        indent = " " * self.current_indent
        paragraphs = ("\n".join(wrapped(each, self.width, indent, indent)) for each in text.split("\n\n"))
        self.write("\n\n".join(paragraphs) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms with their explanations, which are indented and wrapped behind the longest term."""
        if catalogue() is None:
            super().write_dl(rows, col_max, col_spacing)
            return
        rows = list(rows)
        column = min(max((width(term) for term, _text in rows), default=0), col_max) + col_spacing
        rest = " " * (self.current_indent + column)
        for term, text in rows:
            head = " " * self.current_indent + term
            if width(term) > column - col_spacing:
                self.write(head + "\n")
                head = ""
            for line in wrapped(text, self.width, padded(head, len(rest)), rest) or [head]:
                self.write(line.rstrip() + "\n")
